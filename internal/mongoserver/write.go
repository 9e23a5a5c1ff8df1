package mongoserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/backoff"
)

// Write runs the models as one bulk, and returns what the server counted and the items it turned
// down: duplicates and refused ones. An ordered one ends at the first of those. An error says
// nothing of any item.
func Write(ctx context.Context, coll *mongo.Collection, models []mongo.WriteModel, ordered bool) (*mongo.BulkWriteResult, []mongo.BulkWriteError, error) {
	res, turned, err := WriteEach(ctx, coll, models, ordered)
	for _, e := range turned {
		if !Duplicate(e.WriteError) && !Refused(e.WriteError) {
			return nil, nil, fmt.Errorf("row %d of %d: %w", e.Index, len(models), e.WriteError)
		}
	}
	return res, turned, err
}

// WriteEach is Write with an answer for each item: it also returns those that failed for a reason
// that may pass.
func WriteEach(ctx context.Context, coll *mongo.Collection, models []mongo.WriteModel, ordered bool) (*mongo.BulkWriteResult, []mongo.BulkWriteError, error) {
	res, err := coll.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(ordered))
	bulk, ok := errors.AsType[mongo.BulkWriteException](err)
	if !ok {
		return res, nil, err
	}
	if bulk.WriteConcernError != nil {
		return nil, nil, err // applied, but not as durable as was asked
	}
	return res, bulk.WriteErrors, nil
}

// Duplicate reports whether the row is there already. FerretDB has another word for it when it
// loses a race.
func Duplicate(e mongo.WriteError) bool {
	return mongo.IsDuplicateKeyError(e) || e.Code == 1 && e.HasErrorMessage("duplicate key value violates unique constraint")
}

// Refused reports whether no repeat will make the server take the row.
func Refused(e mongo.WriteError) bool {
	switch e.Code {
	case 121, // DocumentValidationFailure
		261,   // DocumentDB: the key does not fit its index
		10334, // BSONObjectTooLarge
		17280: // KeyTooLong
		return true
	}
	return false
}

// DuplicateError is Duplicate for the error of a single write: nothing else is wrong with it.
func DuplicateError(err error) bool {
	if we, ok := errors.AsType[mongo.WriteException](err); ok {
		return we.WriteConcernError == nil && len(we.WriteErrors) == 1 && Duplicate(we.WriteErrors[0])
	}
	ce, ok := errors.AsType[mongo.CommandError](err)
	return ok && Duplicate(mongo.WriteError{Code: int(ce.Code), Message: ce.Message})
}

// Unauthorized reports whether the user may not do it.
func Unauthorized(err error) bool { return HasCode(err, 13) }

// HasCode reports whether a server's answer has one of the codes.
func HasCode(err error, codes ...int) bool {
	e, ok := errors.AsType[mongo.ServerError](err)
	return ok && slices.ContainsFunc(codes, e.HasErrorCode)
}

// Pause waits a little between tries, ever longer, at most half a second.
func Pause(ctx context.Context, try int) error {
	return backoff.Sleep(ctx, backoff.Doubled(4*time.Millisecond, try, 512*time.Millisecond))
}
