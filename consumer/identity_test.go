package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	inBubble(t, func(w *harness) {
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

// Whoever reads a dead letter learns what the event lacks.
func TestLetterOfAnUnidentifiedEventNamesTheSourceOfIDs(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("a"))
		s := w.subscribe(nothing, &consumer.Options{
			ID:       func(bus.Event) string { return "" },
			IDSource: "the member order.id of the payload",
		})
		time.Sleep(time.Minute)
		w.drain(s)
		letters := w.letters()
		want := "unidentified: the member order.id of the payload is missing or holds no id"
		if len(letters) != 1 || letters[0].Reason != want {
			t.Errorf("%+v; want the reason %q", letters, want)
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
			inBubble(t, func(w *harness) {
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
			inBubble(t, func(w *harness) {
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
	inBubble(t, func(w *harness) {
		w.publish(order("ours").WithControl(bus.Control{Group: "billing"}), order("theirs").WithControl(bus.Control{Group: "shipping"}))
		s := w.subscribe(nothing, nil)
		time.Sleep(time.Minute)
		w.drain(s)
		if st := s.Stats(); w.starts() != 1 || st.Handled != 1 || st.Skipped != 1 || st.Duplicates != 0 {
			t.Errorf("%d runs, stats %+v", w.starts(), st)
		}
	})
}

func TestMiddlewareRunsFromTheOutside(t *testing.T) {
	inBubble(t, func(w *harness) {
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
	inBubble(t, func(w *harness) {
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
	inBubble(t, func(w *harness) {
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
	inBubble(t, func(w *harness) {
		o := &consumer.Options{}
		s := w.subscribe(nothing, o)
		synctest.Wait()
		w.drain(s)
		if o.Concurrency != 0 || o.Logger != nil {
			t.Errorf("defaults were written into the caller's options: %+v", o)
		}
	})
}

// A handler is not shown control headers, and passes on none: what it publishes is for every group.
func TestControlHeadersDoNotReachHandlers(t *testing.T) {
	inBubble(t, func(w *harness) {
		redriven := order("1")
		redriven.Headers = bus.Headers{"Traceparent": {"00-1"}}
		w.publish(redriven.WithControl(bus.Control{Redriven: "billing/s@1/1/1", Group: "billing"}))
		billing := w.subscribe(func(ctx context.Context, e bus.Event) error {
			if len(e.Headers) != 1 || e.Headers.Get("Traceparent") != "00-1" {
				t.Errorf("the handler is shown %v", e.Headers)
			}
			_, err := w.bus.Publish(ctx, bus.Event{ID: "invoice of " + e.ID, Topic: "invoice.made", Headers: e.Headers})
			return err
		}, nil)
		mailed := 0
		mail, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, "invoice.made", "mail", w.store, func(context.Context, bus.Event) error {
			mailed++
			return nil
		}, nil)
		must(t, err)
		time.Sleep(time.Minute)
		w.drain(billing)
		w.drain(mail)
		if mailed != 1 {
			t.Errorf("the invoice was mailed %d times; want once", mailed)
		}
	})
}

// A client of the bus that is not ours may store any headers on any event.
func TestControlHeadersOfAnotherEventAreIgnoredAndLogged(t *testing.T) {
	inBubble(t, func(w *harness) {
		var log strings.Builder
		b := copying{Bus: w.bus, headers: order("0").WithControl(bus.Control{Group: "shipping"}).Headers}
		w.publish(order("1"), order("2"))
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), b, "order.*", "billing", w.store, w.record(nothing), &consumer.Options{
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		must(t, err)
		time.Sleep(time.Minute)
		w.drain(s)
		if n := strings.Count(log.String(), "control headers ignored"); w.starts() != 2 || n != 1 {
			t.Errorf("%d runs, want 2; logged %d times, want once:\n%s", w.starts(), n, &log)
		}
	})
}

// copying delivers every event with these headers.
type copying struct {
	bus.Bus
	headers bus.Headers
}

func (c copying) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := c.Bus.Subscribe(ctx, topic, group, o)
	return copyingSource{s, c.headers}, err
}

type copyingSource struct {
	bus.Source
	headers bus.Headers
}

func (s copyingSource) Fetch(ctx context.Context, n int) ([]*bus.Delivery, error) {
	ds, err := s.Source.Fetch(ctx, n)
	for _, d := range ds {
		d.Event.Headers = s.headers
	}
	return ds, err
}

// Whatever id somebody chooses, it is not taken for the key under which a reused id is
// dead-lettered.
func TestReusedIDIsDeadLetteredWhateverOtherIDsThereAre(t *testing.T) {
	inBubble(t, func(w *harness) {
		second := order("x")
		second.Data = []byte("two")
		hash := consumer.Bytes(second)
		s := w.subscribe(nothing, nil)
		events := []bus.Event{order("x")}
		for _, id := range []string{"x#%x", "x::%x", "x%x", "{}x#%x", "x.%x", "x/%x"} {
			events = append(events, bus.Event{ID: fmt.Sprintf(id, hash), Topic: second.Topic, Data: second.Data})
		}
		w.publish(events...)
		time.Sleep(time.Minute)
		w.publish(second)
		time.Sleep(time.Minute)
		w.drain(s)
		ls := w.letters()
		if w.starts() != len(events) || len(ls) != 1 || ls[0].Event.ID != "x" || string(ls[0].Event.Data) != "two" {
			t.Errorf("%d runs, want %d; letters %+v, want one of x", w.starts(), len(events), ls)
		}
	})
}

// An event that has no id of its own is no duplicate of one that has the id which the bus knows it
// by.
func TestUnidentifiedEventIsNoDuplicate(t *testing.T) {
	inBubble(t, func(w *harness) {
		s := w.subscribe(nothing, &consumer.Options{Fingerprint: consumer.NoFingerprint, ID: func(e bus.Event) string {
			if e.ID == "order 2" {
				return ""
			}
			return strings.Replace(e.ID, "1", "2", 1)
		}})
		w.publish(order("order 1"))
		time.Sleep(time.Minute)
		w.publish(order("order 2"))
		time.Sleep(time.Minute)
		w.drain(s)
		if ls := w.letters(); w.starts() != 1 || len(ls) != 1 || ls[0].Event.ID != "order 2" {
			t.Errorf("%d runs, letters %+v; want one run, and a letter of order 2", w.starts(), ls)
		}
	})
}
