package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	membus "github.com/onceish/onceish/bus/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const name = "stream"

func newBus(t *testing.T, s membus.Stream) *membus.Bus {
	t.Helper()
	s.Name = name
	b, err := membus.New(&membus.Options{Streams: []membus.Stream{s}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	bustest.Run(t, bustest.Harness{
		Run: synctest.Test,
		New: func(t *testing.T, s bustest.Stream) bus.Bus {
			t.Helper()
			return newBus(t, membus.Stream{
				Topics: s.Topics, WorkQueue: s.WorkQueue, MaxAge: s.MaxAge, MaxEvents: s.MaxEvents,
				DuplicateWindow: s.DuplicateWindow, MaxUnsettled: s.MaxUnsettled,
			})
		},
		Delete: func(t *testing.T, b bus.Bus, sequences ...uint64) {
			t.Helper()
			check(t, b.(*membus.Bus).Delete(name, sequences...))
		},
		Purge: func(t *testing.T, b bus.Bus) {
			t.Helper()
			check(t, b.(*membus.Bus).Purge(name, ">"))
		},
		Recreate: func(t *testing.T, b bus.Bus) {
			t.Helper()
			check(t, b.(*membus.Bus).Recreate(name))
		},
		DeleteGroup: func(t *testing.T, b bus.Bus, topic, group string) {
			t.Helper()
			check(t, b.(*membus.Bus).DeleteGroup(topic, group))
		},
		Snapshot: func(t *testing.T, b bus.Bus) func(t *testing.T) {
			t.Helper()
			snap, err := b.(*membus.Bus).Snapshot(name)
			check(t, err)
			return func(*testing.T) { snap.Restore() }
		},
		Backup: func(t *testing.T, b bus.Bus) func(t *testing.T) {
			t.Helper()
			snap, err := b.(*membus.Bus).Snapshot(name)
			check(t, err)
			return func(*testing.T) { snap.RestoreAs() }
		},
		StepClock: func(t *testing.T, b bus.Bus, by time.Duration) {
			t.Helper()
			check(t, b.(*membus.Bus).StepClock(name, by))
		},
	})
}
