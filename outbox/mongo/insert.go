package mongo

import (
	"context"
	"fmt"
	"slices"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/mongoserver"
)

// addTries bounds how often AddAlone runs after a row that comes and goes.
const addTries = 6

// insertRows writes the rows outside of transactions. Rows with a key in common are written in
// order: none is there without those before it. clash is called for a row in whose place another
// event is: it returns an error, or makes the row one that has another place. Each round trip has
// the whole of Options.Timeout, within what ctx has left.
func (q *Queue) insertRows(ctx context.Context, rows []rowAddition, keyed bool, clash func(*rowAddition) error) error {
	for try := range addTries {
		again, err := q.insertOnce(ctx, rows, keyed)
		if err != nil || len(again) == 0 {
			return err
		}
		if rows, err = q.absentRows(ctx, again, clash); err != nil || len(rows) == 0 {
			return err
		}
		if err := mongoserver.Pause(ctx, try); err != nil {
			return err
		}
	}
	return fmt.Errorf("rows of %d events came and went %d times; retry", len(rows), addTries)
}

// insertOnce returns the rows that were not inserted because they, or one before them, are there
// already. Those that the server will never take are a refusal.
func (q *Queue) insertOnce(ctx context.Context, rows []rowAddition, keyed bool) ([]rowAddition, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	models := make([]driver.WriteModel, len(rows))
	for i, a := range rows {
		models[i] = driver.NewInsertOneModel().SetDocument(a.doc)
	}
	ctx, cancel := q.boundCall(ctx)
	defer cancel()
	res, turned, err := mongoserver.Write(ctx, q.rows, models, keyed)
	if err != nil {
		return nil, err
	}
	var again []rowAddition
	var no refusedRowsError
	for _, e := range turned {
		if mongoserver.Refused(e.WriteError) {
			no.rows, no.why = append(no.rows, rows[e.Index].storedRow), e.WriteError
			continue
		}
		if keyed {
			again = rows[e.Index:]
			break
		}
		again = append(again, rows[e.Index])
	}
	if no.why != nil {
		return nil, &no
	}
	if int(res.InsertedCount)+len(again) != len(rows) {
		return nil, fmt.Errorf("%d of %d rows inserted, and %d left; retry", res.InsertedCount, len(rows), len(again))
	}
	return again, nil
}

// refusedRowsError is returned when rows cannot be stored, however often it is tried.
type refusedRowsError struct {
	rows []*storedRow
	why  error
}

// Error implements error.
func (r *refusedRowsError) Error() string {
	return fmt.Sprintf("event %.64q: its row is refused: %v: %v", r.rows[0].ID, bus.ErrInvalidEvent, r.why)
}

// Unwrap returns bus.ErrInvalidEvent and what the server said.
func (r *refusedRowsError) Unwrap() []error { return []error{bus.ErrInvalidEvent, r.why} }

// absentRows returns the rows that are not there, after clash was called for those in whose place
// another event is.
func (q *Queue) absentRows(ctx context.Context, rows []rowAddition, clash func(*rowAddition) error) (absent []rowAddition, err error) {
	ids := make([]string, len(rows))
	for i, a := range rows {
		ids[i] = a.RowID
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout) // a transaction in it reads what it wrote
	defer cancel()
	there, err := q.rowsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, a := range rows {
		old := there[a.RowID]
		if old != nil && old.isSameEvent(a.storedRow) {
			continue
		}
		if old != nil {
			if err := clash(&a); err != nil {
				return nil, err
			}
		}
		absent = append(absent, a)
	}
	return absent, nil
}

// placesOf are those of the refused rows in the argument of AddMoved.
func (r *refusedRowsError) placesOf(all []rowAddition) (places []int) {
	for _, a := range all {
		if slices.Contains(r.rows, a.storedRow) {
			places = append(places, a.place)
		}
	}
	return places
}
