package mongo_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/mongowire"
)

// A commit that was not answered is found out: sent again, or seen by its mark.
func TestTransactCommitUnanswered(t *testing.T) {
	t.Parallel()
	unknown := mongowire.LabelledFailure(91, "ShutdownInProgress", "UnknownTransactionCommitResult", "RetryableWriteError")
	for name, c := range map[string]struct {
		times int
		turn  mongowire.Turn
	}{
		"lost, cut":         {1, mongowire.Turn{Cut: true}},
		"applied, cut":      {1, mongowire.Turn{Apply: true, Cut: true}},
		"lost, unknown":     {4, mongowire.Turn{Reply: unknown}},
		"applied, unknown":  {1 << 30, mongowire.Turn{Apply: true, Reply: unknown}},
		"applied, refused":  {1 << 30, mongowire.Turn{Apply: true, Reply: mongowire.Failure(1, "InternalError")}},
		"applied, time-out": {1 << 30, mongowire.Turn{Apply: true, Reply: mongowire.Failure(50, "MaxTimeMSExpired")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			claim := l.claim("a")
			l.set.On(func(command string, before int) *mongowire.Turn {
				if command == "commitTransaction" && before < c.times {
					return &c.turn
				}
				return nil
			})
			runs := 0
			err := l.store.Transact(t.Context(), claim, span, time.Hour, func(ctx context.Context) error {
				runs++
				return l.effect(ctx)
			})
			if err != nil || runs != 1 {
				t.Errorf("%v after %d runs", err, runs)
			}
			l.holds(claim, dedupe.Done, 1)
		})
	}
}

// What cannot be found out before the lease is over is said to be unknown: not done, not failed,
// and not aborted.
func TestTransactCommitUnknown(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]bson.D{
		"unknown":  mongowire.LabelledFailure(91, "ShutdownInProgress", "UnknownTransactionCommitResult"),
		"time-out": mongowire.Failure(50, "MaxTimeMSExpired"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			c := l.claim("a")
			l.set.On(func(command string, _ int) *mongowire.Turn {
				switch command {
				case "commitTransaction":
					return &mongowire.Turn{Reply: reply}
				case "abortTransaction":
					t.Error("aborted beside a commit")
				}
				return nil
			})
			err := l.store.Transact(t.Context(), c, 4*time.Second, time.Hour, l.effect) // until then the commit has to be sent
			if !errors.Is(err, dedupe.ErrCommitUnknown) {
				t.Errorf("%v, want unknown", err)
			}
			l.set.Forget()
			l.holds(c, dedupe.Held, 0)
		})
	}
}

// What a server refuses to commit is neither run again nor done.
func TestTransactCommitRefused(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	l.set.On(func(command string, _ int) *mongowire.Turn {
		if command == "commitTransaction" {
			return &mongowire.Turn{GiveUp: true, Reply: mongowire.Failure(225, "TransactionTooLarge")}
		}
		return nil
	})
	runs := 0
	err := l.store.Transact(t.Context(), c, span, time.Hour, func(ctx context.Context) error {
		runs++
		return l.effect(ctx)
	})
	if e, is := errors.AsType[driver.CommandError](err); !is || e.Code != 225 || runs != 1 || errors.Is(err, dedupe.ErrCommitUnknown) {
		t.Errorf("%v after %d runs", err, runs)
	}
	l.holds(c, dedupe.Held, 0)
}
