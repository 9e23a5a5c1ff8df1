package chaos

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

// rollCallPrefix begins the ids of events that are published when all others are settled, until
// every worker has begun one. They have no effect, and are not counted.
const rollCallPrefix = "roll-call-"

// rollCallPause is the time between two of them for each worker that has not answered.
const rollCallPause = 20 * time.Millisecond

func isRollCall(id string) bool { return strings.HasPrefix(id, rollCallPrefix) }

// rollCall is what shows that every worker still consumes: others may do its share of the events.
type rollCall struct {
	answered  map[int]bool // process ids
	published int
	next      time.Time
}

// withoutRollCall notes who has begun an event of the roll call, and returns the other records.
func (r *round) withoutRollCall(rs []journal.Record) []journal.Record {
	return slices.DeleteFunc(rs, func(record journal.Record) bool {
		if !isRollCall(record.ID) {
			return false
		}
		if record.What == journal.Start {
			r.calls.answered[record.PID] = true
		}
		return true
	})
}

// callRoll lasts until every worker has begun an event that was published after all others were
// settled. Those that do not within the patience are a violation.
func (r *round) callRoll(ctx context.Context) error {
	if r.own != nil || r.stalled || r.o.someStandBy() {
		return nil
	}
	begun := time.Now()
	err := r.every(ctx, func() (done bool, err error) {
		if err := r.watch(ctx); err != nil {
			return false, err
		}
		missing := r.missingWorkers()
		if len(missing) == 0 || time.Since(begun) > r.o.patience {
			return true, nil
		}
		if time.Now().Before(r.calls.next) {
			return false, nil
		}
		r.calls.next = time.Now().Add(rollCallPause)
		return false, r.publishRollCall(ctx, len(missing))
	})
	for _, slot := range r.missingWorkers() {
		r.violations = append(r.violations, Violation{Kind: ViolationIdle, Text: fmt.Sprintf(
			"%s has begun none of %d events that were published in %v after everything else was settled",
			r.fleet.describeWorker(slot), r.calls.published, time.Since(begun).Round(time.Second))})
	}
	return err
}

// missingWorkers returns the slots whose process has not answered.
func (r *round) missingWorkers() (slots []int) {
	for i, s := range r.fleet.slots {
		if s.process == nil || !r.calls.answered[s.process.PID()] {
			slots = append(slots, i)
		}
	}
	return slots
}

// publishRollCall publishes so many events. What is not confirmed is published again as another
// event.
func (r *round) publishRollCall(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	for range n {
		r.calls.published++
		id := rollCallPrefix + strconv.Itoa(r.calls.published)
		m := newMessage(message{id: id, key: id, topic: r.lab.targets[r.calls.published%len(r.lab.targets)].topic})
		if _, err := r.lab.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0)); err != nil {
			return fmt.Errorf("publish for the roll call of the workers: %w", err)
		}
	}
	return nil
}
