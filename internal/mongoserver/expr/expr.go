// Package expr writes BSON for filters, updates and pipelines. Updates are mostly pipelines,
// because only those can compute with the server's own clock. In a pipeline a string that begins
// with a dollar is an expression: what comes from outside is always a Literal.
package expr

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Now is the server's time at which a command runs.
const Now = "$$NOW"

// Field returns a field of a document.
func Field(name string, value any) bson.E { return bson.E{Key: name, Value: value} }

// Op returns a document of one field, such as an operator and its argument.
func Op(name string, value any) bson.D { return bson.D{{Key: name, Value: value}} }

// Literal returns v as a value that is no expression.
func Literal(v any) bson.D { return Op("$literal", v) }

// Set returns a stage, or an operator, that sets fields.
func Set(fields ...bson.E) bson.D { return Op("$set", bson.D(fields)) }

// Unset returns a stage that removes fields.
func Unset(names ...string) bson.D { return Op("$unset", names) }

// NowPlus returns the time in d from Now. It is rounded up to whole milliseconds, which is what
// servers keep: no lease ends early.
func NowPlus(d time.Duration) bson.D { return Op("$add", bson.A{Now, wholeMillis(d)}) }

// Plus returns the sum of a field, which counts as zero where it is absent, and n.
func Plus(name string, n any) bson.D {
	return Op("$add", bson.A{Op("$ifNull", bson.A{"$" + name, int64(0)}), n})
}

// ByID returns the hint of updates by id: with it no planner, and no plan that one has cached, uses
// another index.
func ByID() bson.D { return Op("_id", 1) }

func wholeMillis(d time.Duration) int64 {
	n := d.Milliseconds()
	if d > time.Duration(n)*time.Millisecond {
		n++
	}
	return n
}
