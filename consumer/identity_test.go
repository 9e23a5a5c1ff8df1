package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

func TestIDIsABusinessKeyWhenOptionsSaySo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.publish(order("a"), order("b"), order("c"), order("panics"), order("empty"))
		s := w.subscribe(nothing, &consumer.Options{ID: func(e bus.Event) string {
			switch e.ID {
			case "panics":
				panic("no key")
			case "empty":
				return ""
			}
			return "the same"
		}})
		time.Sleep(time.Minute)
		w.drain(s)
		if w.starts() != 1 || s.Stats().Duplicates != 2 {
			t.Errorf("%d runs, stats %+v", w.starts(), s.Stats())
		}
		reasons := make(map[string]string)
		for _, l := range w.letters() {
			reasons[l.Event.ID] = l.Reason
		}
		if len(reasons) != 2 || !strings.Contains(reasons["panics"], "panicked: no key") || !strings.Contains(reasons["empty"], "empty id") {
			t.Errorf("letters %q", reasons)
		}
	})
}

// Two events run at once unless OrderKey puts them into one line; whatever their own keys say.
func TestOrderKeyDecidesWhatRunsOneAfterTheOther(t *testing.T) {
	for name, c := range map[string]struct {
		key     func(bus.Event) string
		letters int
		most    int
	}{
		"the event's key": {nil, 0, 2},
		"none":            {func(bus.Event) string { return "" }, 0, 3},
		"all":             {func(e bus.Event) string { return e.Topic }, 0, 1},
		"panics":          {func(bus.Event) string { panic("no key") }, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				a, b, other := order("a"), order("b"), order("c")
				a.Key, b.Key = "same", "same"
				w.publish(a, b, other)
				var mu sync.Mutex
				running, most := 0, 0
				count := func(change int) {
					mu.Lock()
					defer mu.Unlock()
					running += change
					most = max(most, running)
				}
				s := w.subscribe(func(context.Context, bus.Event) error {
					count(1)
					defer count(-1)
					time.Sleep(time.Second)
					return nil
				}, &consumer.Options{OrderKey: c.key})
				time.Sleep(time.Minute)
				w.drain(s)
				letters := w.letters()
				if most != c.most || len(letters) != c.letters {
					t.Errorf("%d ran at once, want %d; %d letters, want %d", most, c.most, len(letters), c.letters)
				}
				for _, l := range letters {
					if !strings.Contains(l.Reason, "OrderKey") {
						t.Errorf("reason %q", l.Reason)
					}
				}
			})
		})
	}
}

func TestFingerprints(t *testing.T) {
	for name, c := range map[string]struct {
		fingerprint func(bus.Event) []byte
		letters     int
	}{
		"bytes":          {nil, 1},
		"canonical JSON": {consumer.CanonicalJSON, 0},
		"none":           {consumer.NoFingerprint, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				first, second := order("1"), order("1")
				first.Data, second.Data = []byte(`{"a":1,"b":2}`), []byte(`{ "b": 2, "a": 1 }`)
				w.publish(first, second)
				s := w.subscribe(nothing, &consumer.Options{Fingerprint: c.fingerprint})
				time.Sleep(time.Minute)
				w.drain(s)
				if n := len(w.letters()); w.starts() != 1 || n != c.letters {
					t.Errorf("%d runs, %d letters", w.starts(), n)
				}
			})
		})
	}
}

func TestCanonicalJSONTellsNumbersAndGarbageApart(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for _, data := range []string{`{"a":1}`, `{"a":10000000000000000001}`, `{"a":10000000000000000002}`, `{"a":1} {"b":2}`, `{`, ``, `null`, `{"a":[2,1]}`, `{"a":[1,2]}`} {
		h := string(consumer.CanonicalJSON(bus.Event{Data: []byte(data)}))
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s are the same", data, other)
		}
		seen[h] = data
	}
}

func TestRedrivenCopyIsForItsGroupAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		ours, theirs := order("ours"), order("theirs")
		ours.Headers = bus.Headers{bus.HeaderGroup: {"billing"}}
		theirs.Headers = bus.Headers{bus.HeaderGroup: {"shipping"}}
		w.publish(ours, theirs)
		s := w.subscribe(nothing, nil)
		time.Sleep(time.Minute)
		w.drain(s)
		if st := s.Stats(); w.starts() != 1 || st.Handled != 1 || st.Skipped != 1 {
			t.Errorf("%d runs, stats %+v", w.starts(), st)
		}
	})
}

func TestMiddlewareRunsFromTheOutside(t *testing.T) {
	inWorld(t, func(w *world) {
		var calls []string
		layer := func(name string) consumer.Middleware {
			return func(next consumer.Handler) consumer.Handler {
				return func(ctx context.Context, e bus.Event) error {
					calls = append(calls, name)
					return next(ctx, e)
				}
			}
		}
		w.publish(order("1"))
		s := w.subscribe(nothing, &consumer.Options{Use: []consumer.Middleware{layer("outer"), layer("inner")}})
		time.Sleep(time.Second)
		w.drain(s)
		if fmt.Sprint(calls) != "[outer inner]" {
			t.Errorf("called %v", calls)
		}
	})
}

// observer keeps what it is told.
type observer struct {
	mu   sync.Mutex
	told []consumer.Observation
}

func (o *observer) Observe(n consumer.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, n)
}

func TestObserverIsToldHowEachDeliveryEnded(t *testing.T) {
	inWorld(t, func(w *world) {
		o := &observer{}
		w.publish(order("good"), order("bad"), order("late"))
		s := w.subscribe(func(ctx context.Context, e bus.Event) error {
			switch n := consumer.AttemptFrom(ctx).Number; {
			case e.ID == "bad":
				return consumer.Permanent(errors.New("no"))
			case e.ID == "late" && n == 1:
				return errors.New("not yet")
			}
			return nil
		}, &consumer.Options{Observer: o, Concurrency: 1})
		time.Sleep(time.Minute)
		w.again(order("good"), 1)
		time.Sleep(time.Minute)
		w.drain(s)
		var got []string
		for _, n := range o.told {
			got = append(got, fmt.Sprintf("%s %s %d %v", n.Key.ID, n.Outcome, n.Attempt, n.Err))
		}
		want := "good handled 1 <nil>, bad dead 1 no, late failed 1 not yet, late handled 2 <nil>, good duplicate 0 <nil>"
		if !sameWords(strings.Join(got, ", "), want) {
			t.Errorf("told %s, want %s", strings.Join(got, ", "), want)
		}
	})
}

// sameWords compares lists without their order.
func sameWords(a, b string) bool {
	count := make(map[string]int)
	for s := range strings.SplitSeq(a, ", ") {
		count[s]++
	}
	for s := range strings.SplitSeq(b, ", ") {
		count[s]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestHandlerThatEndsItsGoroutineHasFailed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.publish(order("1"))
		s := w.subscribe(func(ctx context.Context, _ bus.Event) error {
			if consumer.AttemptFrom(ctx).Number == 1 {
				runtime.Goexit()
			}
			return nil
		}, &consumer.Options{Concurrency: 1})
		time.Sleep(time.Minute)
		w.drain(s)
		if st := s.Stats(); st.Handled != 1 || st.Failed != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestOptionsAreNotChanged(t *testing.T) {
	inWorld(t, func(w *world) {
		o := &consumer.Options{}
		s := w.subscribe(nothing, o)
		synctest.Wait()
		w.drain(s)
		if o.Concurrency != 0 || o.Logger != nil {
			t.Errorf("defaults were written into the caller's options: %+v", o)
		}
	})
}

// serverBus hands out one message of the server before each event.
type serverBus struct{ bus.Bus }

func (b serverBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.Bus.Subscribe(ctx, topic, group, o)
	return serverSource{s}, err
}

type serverSource struct{ bus.Source }

func (s serverSource) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	ds, err := s.Source.Fetch(ctx, most)
	for _, d := range ds {
		if d.Event.ID == "marker" {
			d.ServerMessage = "delete marker: MaxAge"
		}
	}
	return ds, err
}

// What the bus's server stored for itself is acknowledged unrun, once, and counted.
func TestMessagesOfTheServerNeverRun(t *testing.T) {
	inWorld(t, func(w *world) {
		w.publish(order("1"), order("marker"), order("2"))
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), serverBus{w.bus}, "order.*", "billing", w.store, w.record(nothing), nil)
		must(t, err)
		time.Sleep(time.Minute)
		must(t, s.Drain(w.t.Context()))
		if st := s.Stats(); w.starts() != 2 || st.Handled != 2 || st.Skipped != 1 || st.Duplicates != 0 {
			t.Errorf("%d runs, stats %+v", w.starts(), st)
		}
	})
}
