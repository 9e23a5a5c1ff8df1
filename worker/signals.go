package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// ErrSignal is the cause of a context that a signal has ended.
var ErrSignal = errors.New("signal")

// Signals turns SIGTERM and SIGINT into an orderly end: the first ends the context, the second
// closes hurry, and a third does what it does to any process. SIGPIPE ends nothing: a write to a
// standard output that nobody reads is an error, as any other. release ends the watching, and waits
// for that.
func Signals(ctx context.Context, log *slog.Logger) (_ context.Context, hurry <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	hurried, released := make(chan struct{}), make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	broken := make(chan os.Signal, 1) // nobody looks: being notified is what makes the write fail
	signal.Notify(broken, syscall.SIGPIPE)
	var watching sync.WaitGroup
	watching.Go(func() {
		defer signal.Stop(signals)
		for _, react := range []func(os.Signal){
			func(s os.Signal) {
				log.Info("ending: finishing what runs; again to end at once", "signal", s.String())
				cancel(fmt.Errorf("%w: %v", ErrSignal, s))
			},
			func(s os.Signal) {
				log.Warn("ending at once", "signal", s.String())
				close(hurried)
			},
		} {
			select {
			case s := <-signals:
				react(s)
			case <-released:
				return
			}
		}
	})
	var once sync.Once
	return ctx, hurried, func() {
		once.Do(func() {
			close(released)
			signal.Stop(broken)
		})
		watching.Wait()
		cancel(nil)
	}
}
