package deferral_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
)

// open returns a tracker that runs until the test ends.
func (w *world) open(c deferral.Config, o *deferral.Options) *deferral.Tracker {
	w.t.Helper()
	if o == nil {
		o = &deferral.Options{}
	}
	o.Observer, o.Logger = w, discard()
	t, err := deferral.Open(context.Background(), w.bus, w.store, "billing", c, w.sum, o)
	must(w.t, err)
	return t
}

func (w *world) start(t *deferral.Tracker) {
	w.t.Helper()
	run, stop := t.Actor()
	ended := make(chan error, 1)
	go func() { ended <- run() }()
	w.t.Cleanup(func() {
		stop(nil)
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
}

// Track gives the same answer however often it is asked, also after a restart, and the limit counts
// an event once.
func TestTrackAnswersTheSameForARepeat(t *testing.T) {
	inBubble(t, func(w *world) {
		tr := w.open(perMinute(2), nil)
		all := orders("a", 0, 5)
		want := []deferral.Decision{deferral.Immediate, deferral.Immediate, deferral.Deferred, deferral.Deferred, deferral.Deferred}
		for round := range 3 {
			if round == 2 {
				time.Sleep(2 * time.Minute) // the limit has room
				tr = w.open(perMinute(2), nil)
			}
			for i, e := range all {
				if d, err := tr.Track(w.t.Context(), e); err != nil || d != want[i] {
					t.Errorf("round %d, event %s: %v (%v), want %v", round, e.ID, d, err, want[i])
				}
			}
		}
		w.start(tr)
		time.Sleep(time.Minute)
		sums := w.sums()
		if len(sums) != 1 || !slices.Equal(sums[0].ids, ids(all[2:])) {
			t.Errorf("summaries are %v, want one of %q", sums, ids(all[2:]))
		}
		changed := all[0]
		changed.Data = []byte("other")
		if d, err := tr.Track(w.t.Context(), changed); d != deferral.Ignored || !errors.Is(err, deferral.ErrReused) {
			t.Errorf("another payload: %v (%v), want ignored and ErrReused", d, err)
		}
		if _, err := tr.Track(w.t.Context(), bus.Event{Topic: "order.placed"}); !errors.Is(err, bus.ErrInvalidEvent) {
			t.Errorf("an event without an ID: %v, want ErrInvalidEvent", err)
		}
	})
}

// Calls that track one event at once get one decision.
func TestTrackDecidesOnceForConcurrentCalls(t *testing.T) {
	inBubble(t, func(w *world) {
		tr := w.open(perMinute(1), nil)
		var mu sync.Mutex
		got := make(map[deferral.Decision]int)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				d, err := tr.Track(w.t.Context(), orders("a", 0, 1)[0])
				must(t, err)
				mu.Lock()
				defer mu.Unlock()
				got[d]++
			})
		}
		all.Wait()
		if got[deferral.Immediate] != 20 {
			t.Errorf("decisions are %v, want 20 times immediate", got)
		}
		if d, err := tr.Track(w.t.Context(), orders("a", 1, 1)[0]); err != nil || d != deferral.Deferred {
			t.Errorf("the next one: %v (%v), want deferred: one event was counted", d, err)
		}
	})
}

// A process that crashes between publishing and its answer has decided.
func TestTrackSurvivesACrash(t *testing.T) {
	for _, at := range []string{"note", "publish deferred.billing", "settle"} {
		t.Run(at, func(t *testing.T) {
			inBubble(t, func(w *world) {
				p := &process{at: func(step string, after bool, n int) bool {
					return step == at && after && (n == 2 || at != "note" && at != "settle")
				}}
				tr, err := deferral.Open(w.t.Context(), &processBus{p, w.bus}, &processStore{p, w.store}, "billing", perMinute(1), w.sum, &deferral.Options{Logger: discard()})
				must(t, err)
				all := orders("a", 0, 2)
				d, err := tr.Track(w.t.Context(), all[0])
				if err != nil || d != deferral.Immediate {
					t.Fatalf("the first: %v (%v), want immediate", d, err)
				}
				_, _ = tr.Track(w.t.Context(), all[1])
				if !p.dead.Load() {
					t.Fatal("it has not crashed")
				}
				time.Sleep(time.Hour)
				next := w.open(perMinute(1), nil)
				if d, err := next.Track(w.t.Context(), all[1]); err != nil || d != deferral.Deferred {
					t.Errorf("after the crash: %v (%v), want deferred as before", d, err)
				}
				w.start(next)
				time.Sleep(time.Minute)
				if sums := w.sums(); len(sums) != 1 || !slices.Equal(sums[0].ids, ids(all[1:])) {
					t.Errorf("summaries are %v, want one of %q", sums, ids(all[1:]))
				}
			})
		})
	}
}

// Limit, strategy, interval and bound can be changed while a tracker runs; what is not valid
// changes nothing.
func TestUpdateChangesWhatRuns(t *testing.T) {
	inBubble(t, func(w *world) {
		c := perMinute(1)
		tr := w.open(c, nil)
		w.start(tr)
		track := func(e bus.Event, want deferral.Decision) {
			t.Helper()
			if d, err := tr.Track(w.t.Context(), e); err != nil || d != want {
				t.Errorf("event %s: %v (%v), want %v", e.ID, d, err, want)
			}
		}
		all := orders("a", 0, 9)
		track(all[0], deferral.Immediate)
		track(all[1], deferral.Deferred)
		c.Interval = 2 * time.Second
		must(t, tr.Update(c))
		time.Sleep(4 * time.Second)
		if len(w.sums()) != 1 {
			t.Errorf("%d summaries 4 s after the interval became 2 s, want one", len(w.sums()))
		}
		c.Rate = flow.Rate{Limit: 3, Per: time.Minute, Strategy: flow.SlidingLog}
		must(t, tr.Update(c))
		track(all[2], deferral.Immediate)
		track(all[3], deferral.Immediate)
		track(all[4], deferral.Deferred)
		bad := c
		bad.Interval = 100 * 24 * time.Hour
		if err := tr.Update(bad); !errors.Is(err, deferral.ErrConfig) || tr.Config() != c && tr.Config().Interval != c.Interval {
			t.Errorf("an interval of 100 days: %v, configuration %+v", err, tr.Config())
		}
		if w.count(deferral.OutcomeConfigUpdated) != 2 {
			t.Errorf("outcomes are %v, want two updates", w.outcomes)
		}
	})
}

// Keys beyond the bound run at once, or are refused, and are counted.
func TestKeysBeyondTheBound(t *testing.T) {
	for _, overflow := range []deferral.Overflow{deferral.Run, deferral.DeadLetter} {
		t.Run(overflow.String(), func(t *testing.T) {
			inBubble(t, func(w *world) {
				c := perMinute(1)
				c.MaxKeys, c.Overflow = 2, overflow
				p := w.work(c, workerOptions{})
				for _, key := range []string{"a", "b", "c"} {
					w.publish(orders(key, 0, 2)...)
					time.Sleep(time.Second)
				}
				w.publish(orders("a", 2, 1)...)
				time.Sleep(time.Minute)
				overflowed := 0
				w.mu.Lock()
				observed := slices.Clone(w.observed)
				w.mu.Unlock()
				for _, o := range observed {
					if o.Overflow {
						overflowed++
					}
				}
				if overflowed != 1 || w.count(deferral.OutcomeDeferred) != 3 {
					t.Errorf("%d beyond the bound, outcomes %v; want one, and 3 deferred", overflowed, observed)
				}
				ran, letters := len(w.runs()), len(w.deadLetters())
				if overflow == deferral.Run && (ran != 4 || letters != 0) || overflow == deferral.DeadLetter && (ran != 3 || letters != 1) {
					t.Errorf("%d ran at once, %d dead letters", ran, letters)
				}
				wantNothingLeft(t, p)
			})
		})
	}
}

// plainStore has no notes.
type plainStore struct{ dedupe.Claimer }

func (s plainStore) Seen(context.Context, []dedupe.Key) ([]dedupe.Record, error) { return nil, nil }
func (s plainStore) Mark(context.Context, []dedupe.Mark) ([]error, error)        { return nil, nil }

// plainBus cannot read again.
type plainBus struct{ inner bus.Bus }

func (b plainBus) Publish(ctx context.Context, es ...bus.Event) ([]bus.Receipt, error) {
	return b.inner.Publish(ctx, es...)
}

func (b plainBus) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	return b.inner.Topic(ctx, topic, group, from)
}

func (b plainBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	return b.inner.Subscribe(ctx, topic, group, o)
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	short, err := membus.New(&membus.Options{Streams: []membus.Stream{{Name: "S", Topics: []string{">"}, MaxAge: 30 * time.Second}}})
	must(t, err)
	queue, err := membus.New(&membus.Options{Streams: []membus.Stream{{Name: "S", Topics: []string{">"}, WorkQueue: true}}})
	must(t, err)
	elsewhere, err := membus.New(&membus.Options{Streams: []membus.Stream{{Name: "S", Topics: []string{"order.>"}}}})
	must(t, err)
	store, err := memdedupe.New(nil)
	must(t, err)
	long := perMinute(1)
	long.Interval = 3 * 24 * time.Hour
	for name, c := range map[string]struct {
		bus   bus.Bus
		store dedupe.Store
		c     deferral.Config
		h     deferral.Handler
		o     *deferral.Options
		want  error
	}{
		"no handler":             {w.bus, store, perMinute(1), nil, nil, deferral.ErrConfig},
		"a store without notes":  {w.bus, plainStore{store}, perMinute(1), w.sum, nil, deferral.ErrStore},
		"a bus that cannot read": {plainBus{w.bus}, store, perMinute(1), w.sum, nil, deferral.ErrTopic},
		"no limit":               {w.bus, store, deferral.Config{}, w.sum, nil, flow.ErrInvalidRate},
		"longer than the stream": {short, store, perMinute(1), w.sum, nil, deferral.ErrConfig},
		"longer than marks":      {w.bus, store, long, w.sum, nil, deferral.ErrConfig},
		"a work queue":           {queue, store, perMinute(1), w.sum, nil, deferral.ErrTopic},
		"no stream":              {elsewhere, store, perMinute(1), w.sum, nil, bus.ErrNoStream},
		"a pattern for a topic":  {w.bus, store, perMinute(1), w.sum, &deferral.Options{Topic: "deferred.*"}, deferral.ErrConfig},
		"one attempt":            {w.bus, store, perMinute(1), w.sum, &deferral.Options{Attempts: 1}, deferral.ErrConfig},
		"a later start": {
			w.bus, store, perMinute(1), w.sum, &deferral.Options{Subscription: &consumer.Options{From: bus.Start{Latest: true}}}, deferral.ErrConfig,
		},
		"more items than fit":      {w.bus, store, perMinute(1), w.sum, &deferral.Options{MaxItems: 1 << 20}, deferral.ErrConfig},
		"more keys than fit":       {w.bus, store, deferral.Config{Rate: perMinute(1).Rate, MaxKeys: -1}, w.sum, nil, deferral.ErrConfig},
		"an interval of no length": {w.bus, store, deferral.Config{Rate: perMinute(1).Rate, Interval: time.Microsecond}, w.sum, nil, deferral.ErrConfig},
	} {
		_, err := deferral.Open(t.Context(), c.bus, c.store, "billing", c.c, c.h, c.o)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A line of the log names topic and group once.
func TestLogOfSummariesNamesTheTopicOnce(t *testing.T) {
	inBubble(t, func(w *world) {
		var out lockedBuffer
		o := &deferral.Options{Logger: slog.New(slog.NewTextHandler(&out, nil))}
		tr, err := deferral.Open(w.t.Context(), w.bus, w.store, "billing", perMinute(1), w.sum, o)
		must(t, err)
		w.start(tr)
		synctest.Wait()
		var found bool
		for line := range strings.Lines(out.String()) {
			found = found || strings.Contains(line, "the group is new on this topic")
			if strings.Count(line, "topic=") > 1 || strings.Count(line, "group=") > 1 {
				t.Error(line)
			}
		}
		if !found {
			t.Errorf("the start of the subscription is not in the log:\n%s", &out)
		}
	})
}

// lockedBuffer is a bytes.Buffer that is safe for concurrent use.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}
