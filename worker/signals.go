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
	"time"
)

// ErrSignal is the cause of a context that a signal has ended.
var ErrSignal = errors.New("signal")

// sameSignalWindow is how soon after the first signal another one is the same wish: timeout(1), for
// one, signals the process, and then its group.
const sameSignalWindow = 500 * time.Millisecond

// Signals turns SIGTERM and SIGINT into an orderly end: the first ends the context, the second
// closes forceStop, and a third does what it does to any process. What arrives within 500 ms of the
// first is the same wish, and ignored. SIGPIPE ends nothing: a write to a standard output that
// nobody reads is an error, as any other. release ends the watching, and waits for that.
func Signals(ctx context.Context, log *slog.Logger) (_ context.Context, forceStop <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stopNow, released := make(chan struct{}), make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	broken := make(chan os.Signal, 1) // nobody looks: being notified is what makes the write fail
	signal.Notify(broken, syscall.SIGPIPE)
	var watching sync.WaitGroup
	watching.Go(func() {
		defer signal.Stop(signals)
		watchSignals(signals, released, time.Now,
			func(s os.Signal) {
				log.Info("shutting down; send the signal again to stop immediately", "signal", s.String())
				cancel(fmt.Errorf("%w: %v", ErrSignal, s))
			},
			func(s os.Signal) {
				log.Warn("stopping immediately", "signal", s.String())
				close(stopNow)
			})
	})
	var once sync.Once
	return ctx, stopNow, func() {
		once.Do(func() {
			close(released)
			signal.Stop(broken)
		})
		watching.Wait()
		cancel(nil)
	}
}

// watchSignals calls end for the first signal, and forceStop for the next that is not the same
// wish. It returns after that, or when released is closed.
func watchSignals(
	signals <-chan os.Signal, released <-chan struct{}, now func() time.Time,
	end, forceStop func(os.Signal),
) {
	var first time.Time
	for {
		select {
		case s := <-signals:
			switch at := now(); {
			case first.IsZero():
				first = at
				end(s)
			case at.Sub(first) >= sameSignalWindow:
				forceStop(s)
				return
			}
		case <-released:
			return
		}
	}
}
