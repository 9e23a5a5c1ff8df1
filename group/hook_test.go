package group_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/group"
	memgroup "github.com/onceish/onceish/group/memory"
)

// hooked is a store whose calls may be met.
type hooked struct {
	store *memgroup.Store

	afterList atomic.Pointer[func()] // once, after pauses were read and before they arrive
	down      atomic.Bool            // calls fail
	gone      atomic.Bool            // calls are answered that there is no store
	plansDown atomic.Bool            // calls for plans fail
	planCalls atomic.Int64           // how many calls for plans there were
	cut       atomic.Bool            // the connection is down, and so are calls
	deaf      atomic.Bool            // a watch hears nothing
	watches   atomic.Int64           // how many were begun
}

var errDown = errors.New("down")

func (h *hooked) TTL() time.Duration { return h.store.TTL() }

func (h *hooked) Connected() bool { return !h.cut.Load() }

// fails returns why a call fails, if it does.
func (h *hooked) fails(space group.Space) error {
	if space == group.PlanRows {
		h.planCalls.Add(1)
	}
	switch {
	case h.down.Load() || h.cut.Load() || h.plansDown.Load() && space == group.PlanRows:
		return errDown
	case h.gone.Load():
		return group.ErrNoStore
	}
	return nil
}

func (h *hooked) List(ctx context.Context, space group.Space, name string) (group.Listing, error) {
	if err := h.fails(space); err != nil {
		return group.Listing{}, err
	}
	l, err := h.store.List(ctx, space, name)
	if space == group.PauseRows {
		if meet := h.afterList.Swap(nil); meet != nil {
			(*meet)()
		}
	}
	return l, err
}

func (h *hooked) Put(ctx context.Context, space group.Space, name, key string, data []byte, expect uint64) (uint64, error) {
	if err := h.fails(space); err != nil {
		return 0, err
	}
	return h.store.Put(ctx, space, name, key, data, expect)
}

func (h *hooked) Delete(ctx context.Context, space group.Space, name, key string) error {
	if err := h.fails(space); err != nil {
		return err
	}
	return h.store.Delete(ctx, space, name, key)
}

func (h *hooked) Watch(ctx context.Context, name string, changed func()) error {
	h.watches.Add(1)
	if h.deaf.Load() {
		<-ctx.Done()
		return nil
	}
	return h.store.Watch(ctx, name, changed)
}

func newHooked(t testing.TB) *hooked {
	t.Helper()
	s, err := memgroup.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &hooked{store: s}
}

// join joins, and runs the session until the test ends.
func join(t testing.TB, store group.Store, o group.Options) (s *group.Session, leave func()) {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := group.Join(t.Context(), store, "g", &o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
