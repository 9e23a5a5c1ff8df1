package worker

import (
	"fmt"
	"sync"

	"github.com/onceish/onceish/worker/internal/systemd"
)

// Stalled returns why a restart of the process would help: in one of the subscriptions, handlers
// that did not return at the run limit hold every slot. It is nil before Run has subscribed, and
// for what a restart does not help: outages, pauses, receivers that are away. It asks no server,
// blocks only where a subscription's loop hangs, and is safe for concurrent use.
func (w *Worker) Stalled() error {
	m := w.member.Load()
	if m == nil {
		return nil
	}
	for _, s := range m.subscriptions() {
		if err := s.sub.Stalled(); err != nil {
			return err
		}
	}
	return nil
}

// findManager finds the service manager that has started the process, if one did.
func (w *Worker) findManager() (err error) {
	if w.manager, err = systemd.FromEnvironment(w.o.Logger); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return nil
}

// managerActors tell the service manager, if there is one, how the worker is: it is ready when they
// run, and stops when they are told to. The watchdog is pinged until all that runs has stopped,
// which may take longer than it waits.
func (w *Worker) managerActors() []Actor {
	if w.manager == nil {
		return nil
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	var following sync.WaitGroup
	w.Defer(func() error {
		close(ended)
		following.Wait()
		return nil
	})
	return []Actor{{
		Name: "service manager",
		Run: func() error {
			following.Go(func() { w.manager.Follow(stop, ended, w.Stalled) })
			<-stop
			return errAsked
		},
		Stop: func(error) { close(stop) },
	}}
}
