package mongo

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/internal/mongoserver"
)

// Updates are pipelines, for only those can compute with the server's own clock. In a pipeline a
// string that begins with a dollar is an expression: what comes from outside is always a literal.

func field(name string, value any) bson.E { return bson.E{Key: name, Value: value} }

func op(name string, value any) bson.D { return bson.D{{Key: name, Value: value}} }

func literal(v any) bson.D { return op("$literal", v) }

// now is the server's time at which a command runs.
const now = "$$NOW"

func nowPlus(d time.Duration) bson.D { return op("$add", bson.A{now, mongoserver.WholeMillis(d)}) }

func plusOne(name string) bson.D { return op("$add", bson.A{"$" + name, 1}) }

// byID is the hint of updates by id: no planner, and no plan it cached, walks another
// index instead.
var byID = bson.D{{Key: "_id", Value: 1}}

// ceil is the time in whole milliseconds, as servers keep it, rounded up: what is at or after one
// is at or after the other.
func ceil(t time.Time) time.Time {
	if whole := t.Truncate(time.Millisecond); whole.Before(t) {
		return whole.Add(time.Millisecond)
	}
	return t
}
