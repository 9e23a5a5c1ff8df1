package mongoserver

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/onceish/onceish/internal/serverclock"
)

// maxDoubt is the most that may be added to a lease.
const maxDoubt = 5 * time.Second

// NewClock returns the clock of the server that holds the database: the primary's, or a mongos's,
// whose clock $$NOW is there. An inserted document cannot carry $$NOW, so its times are of this
// clock. local is the clock of this machine.
func NewClock(db *mongo.Database, local func() time.Time) *serverclock.Clock {
	ask := func(ctx context.Context) (time.Time, error) {
		var hello struct {
			LocalTime time.Time `bson:"localTime"`
		}
		err := db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}, options.RunCmd().SetReadPreference(readpref.Primary())).Decode(&hello)
		if err == nil && hello.LocalTime.IsZero() {
			err = errors.New("the server's hello has no localTime")
		}
		return hello.LocalTime, err
	}
	return serverclock.New(local, ask, maxDoubt)
}
