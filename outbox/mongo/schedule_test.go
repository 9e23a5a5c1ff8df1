package mongo_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/outbox"
)

// scheduled adds rows that are due in an hour, and returns their ids.
func (s *shop) scheduled(names ...string) (rowIDs []string) {
	s.Helper()
	for _, name := range names {
		e := placed(name)
		if _, err := s.queue.AddRowsAlone(s.Context(), outbox.At(time.Now().Add(time.Hour), e)...); err != nil {
			s.Fatal(err)
		}
		rowIDs = append(rowIDs, outbox.RowID(&e))
	}
	return rowIDs
}

// due is in how long a row is due, in whole hours; -1: it is not scheduled.
func (s *shop) due(rowID string) int {
	s.Helper()
	rows, err := s.queue.Scheduled(s.Context(), outbox.Filter{}, outbox.Row{}, 100)
	if err != nil {
		s.Fatal(err)
	}
	for _, r := range rows {
		if r.ID == rowID {
			return int((r.After + time.Minute).Hours())
		}
	}
	return -1
}

// What is scheduled, cancelled or moved in a transaction is so once that commits, and never was if
// it aborts.
func TestSchedulesInTransactions(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for _, aborts := range []error{errors.New("aborts"), nil} {
		suffix := map[bool]string{true: " kept", false: " changed"}[aborts != nil]
		there := s.scheduled("cancelled"+suffix, "moved"+suffix)
		added := placed("added" + suffix)
		err := s.within(func(ctx context.Context) error {
			_, err := s.queue.AddRows(ctx, outbox.At(time.Now().Add(5*time.Hour), added)...)
			cancelled, err1 := s.queue.Cancel(ctx, there[0])
			moved, err2 := s.queue.Move(ctx, there[1], time.Now().Add(3*time.Hour))
			if cancelled != outbox.Changed || moved != outbox.Changed {
				t.Errorf("in the transaction: cancelled: %v, moved: %v", cancelled, moved)
			}
			return errors.Join(err, err1, err2, aborts)
		})
		if !errors.Is(err, aborts) {
			t.Fatal(err)
		}
		want := map[bool][3]int{true: {1, 1, -1}, false: {-1, 3, 5}}[aborts != nil]
		if got := [3]int{s.due(there[0]), s.due(there[1]), s.due(outbox.RowID(&added))}; got != want {
			t.Errorf("after an end with %v the rows are due in %v hours; want %v", aborts, got, want)
		}
	}
}

// A cancellation in a transaction that meets a drainer's write is run again by the driver, and then
// says that it is too late.
func TestCancelInATransactionMeetsTheRelease(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	e := placed("a")
	if _, err := s.queue.AddRowsAlone(t.Context(), outbox.At(time.Now().Add(time.Hour), e)...); err != nil {
		t.Fatal(err)
	}
	runs, got := 0, outbox.NotFound
	s.set.On(func(command string, before int) *mongowire.Turn {
		if command == "delete" && before == 0 {
			return &mongowire.Turn{Reply: mongowire.LabelledFailure(112, "WriteConflict", "TransientTransactionError")}
		}
		return nil
	})
	err := s.within(func(ctx context.Context) (err error) {
		if runs++; runs == 2 { // the drainer was faster
			if _, err := s.queue.Move(t.Context(), outbox.RowID(&e), time.Now()); err != nil {
				t.Error(err)
			}
			for out := (outbox.Released{}); out.Rows == 0 && err == nil; {
				out, err = s.queue.ReleaseDue(t.Context(), 10)
			}
		}
		got, err = s.queue.Cancel(ctx, outbox.RowID(&e))
		return err
	})
	if err != nil || runs != 2 || got != outbox.TooLate {
		t.Errorf("%d runs, %v, %v; want two, and too late", runs, got, err)
	}
}
