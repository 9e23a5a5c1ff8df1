package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// write runs the models in one command, unordered, and returns what the server counted and the items it turned down. An error says
// nothing of any item.
func (s *Store) write(ctx context.Context, models []driver.WriteModel) (*driver.BulkWriteResult, []driver.BulkWriteError, error) {
	res, err := s.own.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	var bulk driver.BulkWriteException
	if !errors.As(err, &bulk) {
		return res, nil, err
	}
	if bulk.WriteConcernError != nil {
		return nil, nil, err // applied, but not as durable as was asked
	}
	for _, e := range bulk.WriteErrors {
		if !duplicate(e.WriteError) && !refused(e.WriteError) {
			return nil, nil, fmt.Errorf("row %d of %d: %w", e.Index, len(models), e.WriteError)
		}
	}
	return res, bulk.WriteErrors, nil
}

// duplicate: the row is there already. FerretDB has another word for it when it loses a race.
func duplicate(e driver.WriteError) bool {
	return driver.IsDuplicateKeyError(e) || e.Code == 1 && e.HasErrorMessage("duplicate key value violates unique constraint")
}

// refused: no repetition will make the server take this row.
func refused(e driver.WriteError) bool {
	switch e.Code {
	case 121, // DocumentValidationFailure
		261,   // DocumentDB: the key does not fit its index
		10334, // BSONObjectTooLarge
		17280: // KeyTooLong
		return true
	}
	return false
}

// pause waits a little between tries, ever longer, at most half a second.
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(time.Duration(1<<min(try, 7)) * 4 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
