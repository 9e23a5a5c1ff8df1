package consumertest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// handlerRun is one run of the handler. Call finds it in the handler's context.
type handlerRun struct {
	process *process
	event   string // the event's label
	attempt int
	began   time.Time

	hasReturned atomic.Bool // the handler
}

type handlerRunKey struct{}

// handlerRunFrom returns the run of a handler's context; nil elsewhere.
func handlerRunFrom(ctx context.Context) *handlerRun {
	r, _ := ctx.Value(handlerRunKey{}).(*handlerRun)
	return r
}

// reach is at a step of the run.
func (r *handlerRun) reach(kind stepKind, call string) error {
	return r.process.reach(step{kind: kind, event: r.event, call: call})
}

// wrapHandler is the kit's middleware.
func (p *process) wrapHandler(next consumer.Handler) consumer.Handler {
	return func(ctx context.Context, e bus.Event) error {
		a := consumer.AttemptFrom(ctx)
		r := &handlerRun{process: p, event: p.world.labelOf(a.Key), attempt: a.Number, began: time.Now()}
		p.world.beginRun(r)
		defer p.world.endRun(r)
		ctx, release := p.withOwnEnd(ctx)
		defer release()
		if err := r.reach(beforeHandler, ""); err != nil {
			return err
		}
		err := next(context.WithValue(ctx, handlerRunKey{}, r), e)
		r.hasReturned.Store(true)
		if stepErr := r.reach(afterHandler, ""); stepErr != nil {
			return stepErr
		}
		return err
	}
}

// afterThaw is how long, by the clock of the bubble, the context of a run lives on after its
// process was thawed: as long as the handler has something to do. A frozen process may get that far
// before it learns that its leases are over.
const afterThaw = time.Millisecond

// withOwnEnd returns a context that does not end while the process is halted.
func (p *process) withOwnEnd(ctx context.Context) (own context.Context, release func()) {
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if p.isHalted() && p.pass() == nil {
			time.Sleep(afterThaw)
		}
		cancel(context.Cause(ctx))
	})
	return own, func() {
		stop()
		cancel(nil)
	}
}
