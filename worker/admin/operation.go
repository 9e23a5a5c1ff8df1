package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/internal/uuid7"
)

// States of an Operation.
const (
	operationRunning   = "running"
	operationDone      = "done"
	operationFailed    = "failed"
	operationCancelled = "cancelled"
)

// Operation is a bulk change that goes on after its request was answered.
type Operation struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind" doc:"redrive or drop"`
	Target  string    `json:"target" doc:"what is changed"`
	State   string    `json:"state" doc:"running, done, failed or cancelled"`
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`

	Done       int `json:"done" doc:"letters that were redriven or dropped"`
	Gone       int `json:"gone" doc:"letters that somebody else was faster with"`
	Failed     int `json:"failed" doc:"letters that are still there"`
	Superseded int `json:"superseded" doc:"letters that were passed over, because they were edited since"`

	Errors []string `json:"errors" doc:"why the last of them failed"`
	Error  string   `json:"error,omitempty" doc:"why it has ended before all letters were looked at"`
}

// What is known of operations.
const (
	maxRunning  = 4
	maxKept     = 100 // that have ended
	maxFailures = 20  // texts of one
)

// operations are those of this process. Its methods are safe for concurrent use.
type operations struct {
	mu      sync.Mutex
	all     []*runningOperation // the oldest first
	closed  bool
	running sync.WaitGroup
}

// runningOperation is guarded by operations.mu.
type runningOperation struct {
	Operation

	cancel context.CancelCauseFunc
}

func newOperations() *operations { return &operations{} }

// errCancelled is the cause of the end of an operation that somebody has cancelled.
var errCancelled = errors.New("it was cancelled")

// start runs do on its own. ended is called when it has ended, with what became of it.
func (o *operations) start(op Operation, ended func(*Operation), do func(context.Context, *deadletter.BulkOptions) (deadletter.Bulk, error)) (Operation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch n := o.countRunning(); {
	case o.closed:
		return op, errClosed
	case n >= maxRunning:
		return op, fmt.Errorf("%w: %d: wait for one, or cancel it: /v1/operations", errTooMany, n)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	op.ID, op.State, op.Started, op.Errors = uuid7.New(time.Now()), operationRunning, time.Now().UTC(), []string{}
	r := &runningOperation{Operation: op, cancel: cancel}
	o.all = append(o.all, r)
	o.running.Go(func() {
		defer cancel(nil)
		n, err := do(ctx, o.progressOf(r))
		last := o.end(r, n, err)
		ended(&last)
	})
	return op, nil
}

func (o *operations) countRunning() (n int) {
	for _, r := range o.all {
		if r.State == operationRunning {
			n++
		}
	}
	return n
}

// progressOf are the callbacks that note how far an operation is.
func (o *operations) progressOf(r *runningOperation) *deadletter.BulkOptions {
	return &deadletter.BulkOptions{
		Failed: func(_ *deadletter.Letter, err error) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if len(r.Errors) == maxFailures {
				r.Errors = r.Errors[1:]
			}
			r.Errors = append(slices.Clip(r.Errors), err.Error())
		},
		Progress: func(n deadletter.Bulk) {
			o.mu.Lock()
			defer o.mu.Unlock()
			r.setCounts(n)
		},
	}
}

func (r *runningOperation) setCounts(n deadletter.Bulk) {
	r.Done, r.Gone, r.Failed, r.Superseded = n.Done, n.Gone, n.Failed, n.Superseded
}

// end notes what became of an operation, and forgets the oldest that have ended.
func (o *operations) end(r *runningOperation, n deadletter.Bulk, err error) Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	r.setCounts(n)
	r.Ended, r.State = time.Now().UTC(), operationDone
	switch {
	case errors.Is(err, errCancelled), errors.Is(err, errClosed):
		r.State, r.Error = operationCancelled, err.Error()
	case err != nil:
		r.State, r.Error = operationFailed, err.Error()
	case n.Failed > 0:
		r.State = operationFailed
	}
	for excess := len(o.all) - o.countRunning() - maxKept; excess > 0; excess-- {
		i := slices.IndexFunc(o.all, func(r *runningOperation) bool { return r.State != operationRunning })
		o.all = slices.Delete(o.all, i, i+1)
	}
	return r.Operation
}

// list returns the operations, the newest first.
func (o *operations) list() []Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]Operation, 0, len(o.all))
	for _, r := range slices.Backward(o.all) {
		out = append(out, r.Operation)
	}
	return out
}

// find returns an operation; cancel also ends it, if it runs. What it does then it finishes: the
// next batch is not begun.
func (o *operations) find(id string, cancel bool) (Operation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.all, func(r *runningOperation) bool { return r.ID == id })
	if i < 0 {
		return Operation{}, fmt.Errorf("%w: there is no operation %q in this process: those that have ended are forgotten after a while, and with the process", errNotFound, id)
	}
	if cancel {
		o.all[i].cancel(errCancelled)
	}
	return o.all[i].Operation, nil
}

// close cancels what runs, and waits for it until ctx ends.
func (o *operations) close(ctx context.Context) error {
	o.mu.Lock()
	o.closed = true
	for _, r := range o.all {
		r.cancel(errClosed)
	}
	o.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("operations did not end in time, and were left behind: %w", cmp.Or(context.Cause(ctx), ctx.Err()))
	}
}
