package deferral_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// steppedClock is a clock that somebody sets while it runs. The zero value is right.
type steppedClock struct{ ahead atomic.Int64 }

func (c *steppedClock) now() time.Time        { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *steppedClock) step(by time.Duration) { c.ahead.Add(int64(by)) }

// useClocks gives bus and store clocks of their own.
func (w *world) useClocks(ofBus, ofStore *steppedClock) {
	w.t.Helper()
	var err error
	w.bus, err = membus.New(&membus.Options{Now: ofBus.now})
	must(w.t, err)
	w.store, err = memdedupe.New(&memdedupe.Options{Now: ofStore.now})
	must(w.t, err)
	time.Sleep(2 * time.Hour) // so that no step ends before the store was made
}

// clockSteps are steps of the clocks of bus and store. A step of the worker's own clock is one of
// both, the other way.
var clockSteps = []struct {
	name       string
	bus, store time.Duration
}{
	{"bus ahead", time.Hour, 0},
	{"bus behind", -time.Hour, 0},
	{"store ahead", 0, time.Hour},
	{"store behind", 0, -time.Hour},
	{"worker behind", time.Hour, time.Hour},
	{"worker ahead", -time.Hour, -time.Hour},
	{"bus a little ahead", 20 * time.Second, 0},
	{"bus a little behind", -20 * time.Second, 0},
}

// A step of a clock while events wait, in either direction, loses none of them, repeats none, and
// puts no summary off beyond its interval; but a store that is set back, and has been told that an
// event is not due, puts that off by as much.
func TestAStepOfAClockWhileEventsWait(t *testing.T) {
	for _, c := range clockSteps {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				var ofBus, ofStore steppedClock
				w.useClocks(&ofBus, &ofStore)
				p := w.work(perMinute(1), workerOptions{})
				all := orders("a", 0, 12)
				w.publish(all[:4]...)
				time.Sleep(10 * time.Second)
				ofBus.step(c.bus)
				ofStore.step(c.store)
				w.publish(all[4:8]...)
				time.Sleep(5 * time.Second)
				ofBus.step(-c.bus)
				w.publish(all[8:]...)
				time.Sleep(18*time.Second + max(0, -c.store))
				w.wantOnce(t, all, 0)
				w.wantOrder(t)
				time.Sleep(time.Minute)
				wantNothingLeft(t, p)
				p.wantAllAcked(t)
			})
		})
	}
}

// So does one while a summary is made, although each lease of it may be over then.
func TestAStepOfAClockWhileASummaryIsMade(t *testing.T) {
	for _, c := range clockSteps {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				var ofBus, ofStore steppedClock
				w.useClocks(&ofBus, &ofStore)
				p := w.work(perMinute(1), workerOptions{sum: func(ctx context.Context, key string, es []bus.Event) error {
					if len(w.sums()) == 0 {
						ofBus.step(c.bus)
						ofStore.step(c.store)
					}
					return w.sum(ctx, key, es)
				}})
				all := make([]bus.Event, 0, 40)
				for n := range 4 {
					all = append(all, orders(fmt.Sprint("k", n), 0, 10)...)
				}
				w.publish(all...)
				time.Sleep(2 * time.Minute)
				w.wantOnce(t, all, 0)
				w.wantOrder(t)
				wantNothingLeft(t, p)
				later := orders("k0", 10, 3)
				w.publish(later...)
				time.Sleep(2 * time.Minute)
				w.wantOnce(t, append(all, later...), 0)
				wantNothingLeft(t, p)
				p.wantAllAcked(t)
			})
		})
	}
}

// A process that starts while its clock is wrong sums up what it finds within an interval.
func TestAProcessWithAWrongClockSumsUpWhatItFinds(t *testing.T) {
	for _, c := range clockSteps {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				var ofBus, ofStore steppedClock
				w.useClocks(&ofBus, &ofStore)
				ofBus.step(c.bus)
				ofStore.step(c.store)
				first := w.work(perMinute(1), workerOptions{})
				all := orders("a", 0, 5)
				w.publish(all...)
				time.Sleep(10 * time.Second)
				must(t, first.stop())
				p := w.work(perMinute(1), workerOptions{})
				time.Sleep(32 * time.Second)
				w.wantOnce(t, all, 0)
				wantNothingLeft(t, p)
			})
		})
	}
}
