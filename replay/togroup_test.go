package replay_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/replay"
)

// toGroup replays the whole topic.
func (w *harness) toGroup(group string, o *replay.Options) replay.Replayed {
	w.t.Helper()
	n, err := replay.ToGroup(w.t.Context(), w.bus, topic, bus.Range{}, group, o)
	must(w.t, err)
	return n
}

func TestReplayRunsNothingThatIsDone(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", bus.Start{})
		publish(w.t, w.bus, numbered(20)...)
		w.settle()
		for range 2 {
			if n := w.toGroup("billing", nil); n.Stored != 20 || n.Duplicates != 0 {
				t.Errorf("%+v; want 20 copies, though the bus knows the events", n)
			}
		}
		w.wantHandled("billing", numbered(20), 1)
	})
}

// A group that has begun later handles what came before it, once, and no other group does.
func TestReplayReachesOneGroupAlone(t *testing.T) {
	inBubble(t, func(w *harness) {
		publish(w.t, w.bus, numbered(20)...)
		w.subscribe("late", bus.Start{Latest: true})
		w.subscribe("other", bus.Start{Latest: true})
		w.settle()
		w.wantHandled("late", numbered(20), 0)
		for range 2 {
			w.toGroup("late", nil)
		}
		w.wantHandled("late", numbered(20), 1)
		w.wantHandled("other", numbered(20), 0)
	})
}

// A copy says where its event lies.
func TestReplayedCopiesHaveThePositionOfTheirEvent(t *testing.T) {
	inBubble(t, func(w *harness) {
		publish(w.t, w.bus, numbered(3)...)
		w.toGroup("billing", nil)
		all := readAll(w.t, w.bus, topic)
		for i := range 3 {
			if event, copied := &all[i], &all[3+i]; event.Original() != event.At || copied.Original() != event.At {
				t.Errorf("event %d lies at %v, and its copy is one of %v", i, event.Original(), copied.Original())
			}
		}
	})
}

func TestReplayAgainRunsOncePerScope(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", bus.Start{})
		publish(w.t, w.bus, numbered(20)...)
		w.settle()
		for i, scope := range []string{"fix-a", "fix-a", "fix-b"} {
			w.toGroup("billing", &replay.Options{Again: scope})
			w.wantHandled("billing", numbered(20), []int{2, 2, 3}[i])
		}
		w.toGroup("billing", nil)
		w.wantHandled("billing", numbered(20), 3)
		if _, err := replay.ToGroup(w.t.Context(), w.bus, topic, bus.Range{}, "billing", &replay.Options{Again: "not one"}); err == nil {
			t.Error("a scope that is none was taken")
		}
	})
}

// A replay that is interrupted between two batches goes on after the position that it has named:
// everything is handled, and once.
func TestReplayInterruptedGoesOn(t *testing.T) {
	inBubble(t, func(w *harness) {
		publish(w.t, w.bus, numbered(100)...)
		w.subscribe("late", bus.Start{Latest: true})
		r := bus.Range{Until: bus.Until{Position: readAll(w.t, w.bus, topic)[99].At}}
		total := 0
		for runs := 0; ; runs++ {
			ctx, cancel := context.WithCancel(w.t.Context())
			n, err := replay.ToGroup(ctx, w.bus, topic, r, "late", &replay.Options{PerSecond: 100, Progress: func(n replay.Replayed) {
				if n.Stored >= 30 {
					cancel()
				}
			}})
			cancel()
			if total += n.Stored; n.Last.Sequence != uint64(total) {
				t.Fatalf("%+v after %d copies; want the position of the last one", n, total)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) || runs > 5 {
				t.Fatal(err)
			}
			r.From = bus.From{After: n.Last}
		}
		if total != 100 {
			t.Errorf("%d copies were published; want 100", total)
		}
		w.wantHandled("late", numbered(100), 1)
	})
}

// What the bus did not confirm is after the position, and copies that are refused for good are not.
func TestReplayNeverMovesPastWhatIsNotConfirmed(t *testing.T) {
	inBubble(t, func(w *harness) {
		publish(w.t, w.bus, numbered(10)...)
		b := &hooked{Bus: w.bus, publish: func(ctx context.Context, events []bus.Event) ([]bus.Receipt, error) {
			receipts := make([]bus.Receipt, len(events))
			for i, e := range events {
				switch e.ID {
				case "2":
					receipts[i].Err = bus.ErrTooLarge
				case "6":
					receipts[i].Err = bus.ErrUnavailable
				default:
					stored, _ := w.bus.Publish(ctx, e)
					receipts[i] = stored[0]
				}
			}
			return receipts, bus.ErrUnavailable
		}}
		var failed []uint64
		n, err := replay.ToGroup(w.t.Context(), b, topic, bus.Range{}, "g", &replay.Options{Failed: func(at bus.Position, _ error) { failed = append(failed, at.Sequence) }})
		if !errors.Is(err, replay.ErrNotCopied) || n.Last.Sequence != 6 || n.Stored != 8 || n.Refused != 1 || !slices.Equal(failed, []uint64{3}) {
			t.Errorf("%+v, %v, failed %v; want the position before event 6, and event 2 refused", n, err, failed)
		}
	})
}

// Copies of one key are stored in the order of their events, however the bus fails.
func TestReplayKeepsTheOrderOfAKey(t *testing.T) {
	inBubble(t, func(w *harness) {
		events := numbered(200)
		for i := range events {
			events[i].Key = strconv.Itoa(i % 3)
		}
		publish(w.t, w.bus, events...)
		dice := rand.New(rand.NewPCG(1, 2))
		b := &hooked{Bus: w.bus, publish: func(ctx context.Context, events []bus.Event) ([]bus.Receipt, error) {
			receipts := make([]bus.Receipt, len(events))
			for i, e := range events {
				if receipts[i].Err = bus.ErrUnavailable; dice.IntN(3) > 0 {
					stored, _ := w.bus.Publish(ctx, e)
					receipts[i] = stored[0]
				}
			}
			return receipts, bus.ErrUnavailable
		}}
		n, err := replay.ToGroup(w.t.Context(), b, topic, bus.Range{}, "g", nil)
		must(w.t, err)
		last := map[string]int{}
		copies := readAll(w.t, w.bus, topic)[200:]
		for _, s := range copies {
			id, _ := strconv.Atoi(s.Event.ID)
			if before, ok := last[s.Event.Key]; ok && id <= before {
				t.Errorf("key %s: %d was stored after %d", s.Event.Key, id, before)
			}
			last[s.Event.Key] = id
		}
		if n.Stored != 200 || len(copies) != 200 {
			t.Errorf("%+v, %d copies; want 200", n, len(copies))
		}
	})
}

// A replay meets neither its own copies nor those of others, and no dead letters.
func TestReplayLeavesOutCopiesAndLetters(t *testing.T) {
	inBubble(t, func(w *harness) {
		publish(w.t, w.bus, append(numbered(3),
			bus.Event{ID: "l", Topic: "orders.dead"}.WithControl(bus.Control{Letter: "l"}),
			bus.Event{ID: "0", Topic: "orders.new", Data: []byte("payload")}.WithControl(bus.Control{Redriven: "l", Group: "other"}),
			bus.Event{ID: "republished", Topic: "orders.new"}.WithControl(bus.Control{Copy: "1"}))...)
		first, second := w.toGroup("g", nil), w.toGroup("g", nil)
		if want := (replay.LeftOut{Copies: 1, Letters: 1}); first.Stored != 4 || first.LeftOut != want {
			t.Errorf("%+v; want 4 copies and %+v", first, want)
		}
		if want := (replay.LeftOut{Copies: 5, Letters: 1}); second.Stored != 4 || second.LeftOut != want || second.Run == first.Run {
			t.Errorf("%+v; want 4 copies of another run, and %+v", second, want)
		}
	})
}

func TestReplayTakesWhatTheFilterSelects(t *testing.T) {
	inBubble(t, func(w *harness) {
		publish(w.t, w.bus, numbered(30)...)
		n := w.toGroup("g", &replay.Options{Filter: replay.Filter{IDs: []string{"3", "17", "29"}}, Limit: 2})
		var ids []string
		for _, s := range readAll(w.t, w.bus, topic)[30:] {
			ids = append(ids, s.Event.ID)
		}
		if !slices.Equal(ids, []string{"3", "17"}) || n.Last.Sequence != 18 {
			t.Errorf("copies of %q, %+v; want 3 and 17, and to go on after the latter", ids, n)
		}
	})
}

func TestReplayIsAsFastAsItMayBe(t *testing.T) {
	inBubble(t, func(w *harness) {
		publish(w.t, w.bus, numbered(100)...)
		start := time.Now()
		w.toGroup("g", &replay.Options{PerSecond: 20})
		if took := time.Since(start); took < 4*time.Second || took > 5*time.Second {
			t.Errorf("100 events at 20 a second took %v", took)
		}
	})
}

func TestReplayKeepsItsRateAfterAnOutage(t *testing.T) {
	inBubble(t, func(w *harness) {
		publish(w.t, w.bus, numbered(100)...)
		start := time.Now()
		var stored []time.Time
		b := &hooked{Bus: w.bus, publish: func(ctx context.Context, events []bus.Event) ([]bus.Receipt, error) {
			if away := time.Since(start); away > time.Second && away < 20*time.Second {
				return nil, errors.New("away")
			}
			for range events {
				stored = append(stored, time.Now())
			}
			return w.bus.Publish(ctx, events...)
		}}
		n, err := replay.ToGroup(w.t.Context(), b, topic, bus.Range{}, "g", &replay.Options{PerSecond: 20})
		if err != nil || n.Stored != 100 {
			t.Fatalf("%+v, %v; want 100", n, err)
		}
		for i := range stored[20:] {
			if took := stored[i+20].Sub(stored[i]); took < 900*time.Millisecond {
				t.Fatalf("20 copies within %v, at 20 a second", took)
			}
		}
	})
}

// Two seconds after the end of ctx a bus answers that has not answered before: what it confirms
// counts.
func TestReplayWaitsForConfirmationsOfWhatIsOnItsWay(t *testing.T) {
	inBubble(t, func(w *harness) {
		publish(w.t, w.bus, numbered(5)...)
		for slow, want := range map[time.Duration]int{2 * time.Second: 5, time.Minute: 0} {
			ctx, cancel := context.WithCancel(w.t.Context())
			start := time.Now()
			b := &hooked{Bus: w.bus, publish: func(ctx context.Context, events []bus.Event) ([]bus.Receipt, error) {
				cancel()
				select {
				case <-time.After(slow):
					return w.bus.Publish(ctx, events...)
				case <-ctx.Done():
					receipts := make([]bus.Receipt, len(events))
					for i := range receipts {
						receipts[i].Err = context.Cause(ctx)
					}
					return receipts, context.Cause(ctx)
				}
			}}
			n, err := replay.ToGroup(ctx, b, topic, bus.Range{}, "g", nil)
			cancel()
			if took := time.Since(start); (err == nil) != (want > 0) || n.Last.Sequence != uint64(want) || n.Stored != want || took != min(slow, 5*time.Second) {
				t.Errorf("%+v, %v after %v; want %d that were confirmed within 5 s", n, err, took, want)
			}
		}
	})
}

func TestReplayRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	b, err := membus.New(nil)
	must(t, err)
	publish(t, b, numbered(1)...)
	for name, try := range map[string]func() (replay.Replayed, error){
		"no group": func() (replay.Replayed, error) { return replay.ToGroup(t.Context(), b, topic, bus.Range{}, "", nil) },
		"headers only": func() (replay.Replayed, error) {
			return replay.ToGroup(t.Context(), b, topic, bus.Range{HeadersOnly: true}, "g", nil)
		},
		"following": func() (replay.Replayed, error) {
			return replay.ToGroup(t.Context(), b, topic, bus.Range{Until: bus.Until{Follow: true}}, "g", nil)
		},
		"limit": func() (replay.Replayed, error) {
			return replay.ToGroup(t.Context(), b, topic, bus.Range{}, "g", &replay.Options{Limit: -1})
		},
		"no filter": func() (replay.Replayed, error) {
			return replay.ToGroup(t.Context(), b, topic, bus.Range{}, "g", &replay.Options{Filter: replay.Filter{Topic: "a..b"}})
		},
		"to itself": func() (replay.Replayed, error) {
			return replay.ToTopic(t.Context(), b, "orders.new", bus.Range{}, "orders.new", nil)
		},
		"of a pattern": func() (replay.Replayed, error) {
			return replay.ToTopic(t.Context(), b, topic, bus.Range{}, "copies", nil)
		},
		"to a pattern": func() (replay.Replayed, error) {
			return replay.ToTopic(t.Context(), b, "orders.new", bus.Range{}, "copies.*", nil)
		},
		"again": func() (replay.Replayed, error) {
			return replay.ToTopic(t.Context(), b, "orders.new", bus.Range{}, "copies", &replay.Options{Again: "fix"})
		},
	} {
		if n, err := try(); err == nil || n.Stored > 0 {
			t.Errorf("%s: %+v, %v; want an error", name, n, err)
		}
	}
}

// readOnly is a bus that copies the events from elsewhere.
type readOnly struct{ *membus.Bus }

func (b readOnly) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	info, err := b.Bus.Topic(ctx, topic, group, from)
	info.ReadOnly = true
	return info, err
}

func TestReplayRefusesAStreamThatCopiesAnother(t *testing.T) {
	inBubble(t, func(w *harness) {
		publish(w.t, w.bus, numbered(1)...)
		n, err := replay.ToGroup(w.t.Context(), readOnly{w.bus}, topic, bus.Range{}, "g", nil)
		if err == nil || n.Stored > 0 || len(readAll(w.t, w.bus, topic)) > 1 {
			t.Errorf("%+v, %v; want an error, and nothing published", n, err)
		}
	})
}

func TestReplayToATopicKeepsTheEventsAndKnowsRepeats(t *testing.T) {
	inBubble(t, func(w *harness) {
		full := bus.Event{
			ID: "full", Topic: "orders.new", Key: "k", Type: "order.changed", Source: "/shops/12", Time: time.Date(2024, 2, 29, 1, 2, 3, 4, time.UTC),
			ContentType: "application/json", Data: []byte(`{"cents": 5}`), Headers: bus.Headers{"Tenant": {"a", "b"}},
		}
		publish(w.t, w.bus, append(numbered(3), full.WithControl(bus.Control{Copy: "7"}))...)
		for i := range 2 {
			n, err := replay.ToTopic(w.t.Context(), w.bus, "orders.new", bus.Range{}, "copies", nil)
			if err != nil || n.Stored != 4 || n.Duplicates != 4*i || n.Run != "" {
				t.Errorf("%+v, %v; want 4, of which the second time 4 are duplicates", n, err)
			}
		}
		copies := readAll(w.t, w.bus, "copies")
		want := full
		want.Topic = "copies"
		if len(copies) != 4 || fmt.Sprint(copies[3].Event) != fmt.Sprint(want) {
			t.Errorf("stored %+v; want 4, the last %+v", copies, want)
		}
	})
}
