package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// picky is a store that refuses marks and settlements of some events, and takes those
// of all others.
type picky struct {
	*memdedupe.Store

	mu      sync.Mutex
	refused map[string]error // by id
}

func (s *picky) why(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[id]
}

func (s *picky) refuse(id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[id] = err
}

func (s *picky) Mark(ctx context.Context, marks []dedupe.Mark) ([]error, error) {
	return each(s, marks, func(m dedupe.Mark) string { return m.Key.ID }, func(m []dedupe.Mark) ([]error, error) { return s.Store.Mark(ctx, m) })
}

func (s *picky) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	return each(s, ss, func(x dedupe.Settlement) string { return x.Claim.Key.ID }, func(x []dedupe.Settlement) ([]error, error) { return s.Store.Settle(ctx, x) })
}

func (s *picky) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	return each(s, cs, func(c dedupe.Claim) string { return c.Key.ID }, func(c []dedupe.Claim) ([]error, error) { return s.Store.Extend(ctx, c, lease, ttl) })
}

// each has a call made for the items that are not refused.
func each[T any](s *picky, items []T, id func(T) string, call func([]T) ([]error, error)) ([]error, error) {
	errs := make([]error, len(items))
	for i, x := range items {
		if errs[i] = s.why(id(x)); errs[i] != nil {
			continue
		}
		one, err := call([]T{x})
		if err != nil {
			return nil, err
		}
		errs[i] = one[0]
	}
	return errs, nil
}

var errNotThisOne = fmt.Errorf("%w: not this one", dedupe.ErrKeyRefused)

// TestOneRefusedItemStopsNoOther: in each mode one event whose mark the store refuses for ever
// holds up nobody, and the subscription says which it is. Once it is taken, it is marked, and
// was run once.
func TestOneRefusedItemStopsNoOther(t *testing.T) {
	for _, mode := range []consumer.Mode{consumer.Claimed, consumer.SeenMark} {
		t.Run(fmt.Sprint("mode ", mode), func(t *testing.T) {
			inBubble(t, func(w *harness) {
				s, err := memdedupe.New(nil)
				must(t, err)
				store := &picky{Store: s, refused: map[string]error{"odd": errNotThisOne}}
				w.store = store
				w.publish(order("odd"))
				for i := range 300 {
					w.publish(order(fmt.Sprint(i)))
				}
				sub := w.subscribe(nothing, &consumer.Options{Mode: mode})
				time.Sleep(time.Minute)
				if st := sub.Stats(); st.Handled != 300 || st.InFlight != 1 {
					t.Errorf("%+v, want all handled but the one whose mark is refused", st)
				}
				if err := sub.Healthy(); !errors.Is(err, dedupe.ErrKeyRefused) || !strings.Contains(err.Error(), "::odd") {
					t.Errorf("healthy: %v, want the refusal with its key", err)
				}
				store.refuse("odd", nil)
				time.Sleep(10 * time.Second)
				if err := sub.Healthy(); err != nil {
					t.Errorf("healthy: %v", err)
				}
				w.drain(sub)
				if st := sub.Stats(); w.starts() != 301 || st.Handled != 301 {
					t.Errorf("%d starts, %+v", w.starts(), st)
				}
			})
		})
	}
}

// TestRefusedRenewalIsRepeated: a renewal that the store refuses for a while is asked for again,
// before the lease is over, and holds up no other.
func TestRefusedRenewalIsRepeated(t *testing.T) {
	inBubble(t, func(w *harness) {
		s, err := memdedupe.New(nil)
		must(t, err)
		store := &picky{Store: s, refused: make(map[string]error)}
		w.store = store
		w.publish(order("odd"), order("other"))
		sub := w.subscribe(func(ctx context.Context, e bus.Event) error {
			if e.ID == "odd" {
				store.refuse("odd", errors.New("not now"))
				time.AfterFunc(25*time.Second, func() { store.refuse("odd", nil) })
			}
			select {
			case <-time.After(2 * time.Minute):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}, nil)
		time.Sleep(5 * time.Minute)
		w.drain(sub)
		if st := sub.Stats(); w.starts() != 2 || st.Handled != 2 {
			t.Errorf("%d starts of 2 events, %+v", w.starts(), st)
		}
	})
}

// TestFullStoreStartsNothingItCannotMark: at its bound a store lets through what it can mark, and
// the rest once there is room. In mode SeenMark, which reserves nothing, runs that are under way
// when the bound is met are one too many each. Each event runs once, and none is given up for
// having waited.
func TestFullStoreStartsNothingItCannotMark(t *testing.T) {
	for _, mode := range []consumer.Mode{consumer.Claimed, consumer.SeenMark} {
		t.Run(fmt.Sprint("mode ", mode), func(t *testing.T) {
			inBubble(t, func(w *harness) {
				s, err := memdedupe.New(&memdedupe.Options{MaxKeys: 10})
				must(t, err)
				w.store = s
				for i := range 40 {
					w.publish(order(fmt.Sprint(i)))
				}
				var log bytes.Buffer
				sub := w.subscribe(nothing, &consumer.Options{
					Mode: mode, Concurrency: 4, MaxAttempts: 2, TTL: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				})
				time.Sleep(10 * time.Minute)
				most := map[consumer.Mode]int{consumer.Claimed: 10, consumer.SeenMark: 14}[mode]
				if n := w.starts(); n < 10 || n > most || sub.Stats().Handled != 10 {
					t.Errorf("%d starts with room for 10 marks, %+v", n, sub.Stats())
				}
				if err := sub.Healthy(); !errors.Is(err, dedupe.ErrFull) || !strings.Contains(err.Error(), "it keeps 10 keys, none of them expired") {
					t.Errorf("healthy: %v, want ErrFull with the number of keys", err)
				}
				time.Sleep(4 * time.Hour)
				w.drain(sub)
				if !strings.Contains(log.String(), "the dedupe store is full: new events wait until marks expire") {
					t.Errorf("the log does not say what follows: %s", &log)
				}
				if st := sub.Stats(); w.starts() != 40 || st.Handled != 40 || st.Dead != 0 {
					t.Errorf("%d starts of 40 events, %+v", w.starts(), st)
				}
			})
		})
	}
}

// TestFullStoreLetsADrainEnd: what waits for room is given back.
func TestFullStoreLetsADrainEnd(t *testing.T) {
	inBubble(t, func(w *harness) {
		s, err := memdedupe.New(&memdedupe.Options{MaxKeys: 1})
		must(t, err)
		w.store = s
		w.publish(order("1"), order("2"), order("3"))
		sub := w.subscribe(nothing, nil)
		time.Sleep(time.Minute)
		begun := time.Now()
		w.drain(sub)
		if took := time.Since(begun); took > 10*time.Second || w.starts() != 1 {
			t.Errorf("drained after %v, %d starts", took, w.starts())
		}
	})
}

// TestFingerprintOfAnySize: what a fingerprint returns may be as large as the payload, and is kept
// in a fixed size.
func TestFingerprintOfAnySize(t *testing.T) {
	for _, mode := range []consumer.Mode{consumer.Claimed, consumer.SeenMark} {
		t.Run(fmt.Sprint("mode ", mode), func(t *testing.T) {
			inBubble(t, func(w *harness) {
				big, other, same := order("big"), order("big"), order("big")
				big.Data, other.Data = bytes.Repeat([]byte("x"), 900_000), bytes.Repeat([]byte("x"), 900_001)
				same.Data = big.Data
				w.publish(big)
				sub := w.subscribe(nothing, &consumer.Options{Mode: mode, Fingerprint: func(e bus.Event) []byte { return e.Data }})
				time.Sleep(time.Minute)
				w.publish(same, other)
				time.Sleep(time.Minute)
				w.drain(sub)
				letters := w.letters()
				if w.starts() != 1 || len(letters) != 1 || !strings.HasPrefix(letters[0].Reason, "id_reused") {
					t.Errorf("%d starts, letters %+v, want the other payload dead-lettered", w.starts(), letters)
				}
			})
		})
	}
}

// TestFingerprintMayChange: what is in flight when a deployment changes the fingerprint is handled:
// its payload has not changed.
func TestFingerprintMayChange(t *testing.T) {
	mine := func(e bus.Event) []byte { return e.Data[:1] }
	for name, c := range map[string]struct{ before, after consumer.Options }{
		"to canonical JSON":   {consumer.Options{}, consumer.Options{Fingerprint: consumer.CanonicalJSON}},
		"from canonical JSON": {consumer.Options{Fingerprint: consumer.CanonicalJSON}, consumer.Options{}},
		"to none":             {consumer.Options{}, consumer.Options{Fingerprint: consumer.NoFingerprint}},
		"to one of mine":      {consumer.Options{}, consumer.Options{Fingerprint: mine}},
		"to one that calls Bytes": {consumer.Options{}, consumer.Options{Fingerprint: func(e bus.Event) []byte {
			e.Data = e.Data[:1]
			return consumer.Bytes(e)
		}}},
		"to another version of mine": {
			consumer.Options{Fingerprint: func(e bus.Event) []byte { return e.Data }, FingerprintName: "order-v1"},
			consumer.Options{Fingerprint: mine, FingerprintName: "order-v2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				for i := range 10 {
					e := order(fmt.Sprint(i))
					e.Data = []byte(`{"b": 1, "a": 2}`)
					w.publish(e)
				}
				one := w.subscribe(func(context.Context, bus.Event) error {
					return consumer.RetryAfter(time.Minute, errors.New("try later"))
				}, &c.before)
				time.Sleep(10 * time.Second)
				w.drain(one)
				two := w.subscribe(nothing, &c.after)
				time.Sleep(5 * time.Minute)
				w.drain(two)
				if st := two.Stats(); st.Handled != 10 || len(w.letters()) != 0 {
					t.Errorf("%+v, %d letters, want all handled", st, len(w.letters()))
				}
			})
		})
	}
}

func TestFingerprintName(t *testing.T) {
	t.Parallel()
	for _, o := range []*consumer.Options{
		{FingerprintName: "Order"},
		{FingerprintName: "json"},
		{Fingerprint: func(bus.Event) []byte { return nil }, FingerprintName: "bytes"},
		{FingerprintName: strings.Repeat("a", 33)},
	} {
		if _, err := o.WithDefaults("billing"); err == nil || !strings.Contains(err.Error(), "Options.FingerprintName") {
			t.Errorf("%q: %v, want an error that names the field", o.FingerprintName, err)
		}
	}
}

// TestSeenMarkBuriesTheSecondPayload: an id that is done is not used again for another
// payload in silence.
func TestSeenMarkBuriesTheSecondPayload(t *testing.T) {
	inBubble(t, func(w *harness) {
		first, second := order("1"), order("1")
		first.Data, second.Data = []byte("one"), []byte("two")
		w.publish(first)
		sub := w.subscribe(nothing, &consumer.Options{Mode: consumer.SeenMark})
		time.Sleep(time.Minute)
		w.publish(second)
		time.Sleep(time.Minute)
		w.drain(sub)
		if letters := w.letters(); w.starts() != 1 || len(letters) != 1 || !strings.HasPrefix(letters[0].Reason, "id_reused") {
			t.Errorf("%d starts, letters %+v", w.starts(), letters)
		}
	})
}
