package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
)

// limited is a bus that tells of other limits than it has.
type limited struct {
	bus.Bus
	change func(topic string, info *bus.TopicInfo)
}

func (l limited) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	info, err := l.Bus.Topic(ctx, topic, group, from)
	l.change(topic, &info)
	return info, err
}

func TestStreamThatKeepsNoLettersIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(i *bus.TopicInfo)
		want   string // of the error; empty: it starts
		warns  string
	}{
		"unlimited":                 {change: func(*bus.TopicInfo) {}},
		"work queue":                {change: func(i *bus.TopicInfo) { i.WorkQueue = true }, want: "work-queue"},
		"interest":                  {change: func(i *bus.TopicInfo) { i.Interest = true }, want: "interest"},
		"one per topic":             {change: func(i *bus.TopicInfo) { i.Limits.EventsPerTopic = 1 }, want: "keeps 1 events of a topic"},
		"few":                       {change: func(i *bus.TopicInfo) { i.Limits.Events = 999 }, want: "keeps 999 events in all"},
		"many":                      {change: func(i *bus.TopicInfo) { i.Limits.Events = 1000 }, warns: "deletes the oldest ones"},
		"bounded in bytes":          {change: func(i *bus.TopicInfo) { i.Limits.Bytes = 1 << 30 }, warns: "bytes=1073741824"},
		"few, then it is full":      {change: func(i *bus.TopicInfo) { i.RefusesWhenFull = true }, warns: "stay unsettled"},
		"small events":              {change: func(i *bus.TopicInfo) { i.MaxBytes = 4096 }, want: "takes events of 4096 bytes"},
		"small headers":             {change: func(i *bus.TopicInfo) { i.MaxHeaderBytes = 4096 }, want: "the bus takes 4096"},
		"for a shorter time":        {change: func(i *bus.TopicInfo) { i.MaxAge = time.Hour }, warns: "letters_kept_for=1h0m0s"},
		"for as long as the events": {change: func(i *bus.TopicInfo) { i.MaxAge = 24 * time.Hour }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				var log strings.Builder
				b := limited{w.bus, func(topic string, info *bus.TopicInfo) {
					if topic == "dead.billing" {
						c.change(info)
					} else {
						info.MaxAge = 24 * time.Hour
					}
				}}
				s, err := consumer.SubscribeExactlyOnce(w.t.Context(), b, "order.*", "billing", w.store, nothing, &consumer.Options{
					Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
				})
				if c.want != "" {
					if !errors.Is(err, consumer.ErrDeadLetterTopic) || !strings.Contains(err.Error(), c.want) {
						t.Errorf("%v; want ErrDeadLetterTopic with %q", err, c.want)
					}
					return
				}
				must(t, err)
				w.drain(s)
				if got := log.String(); c.warns == "" && got != "" || !strings.Contains(got, c.warns) {
					t.Errorf("warned %q; want %q", got, c.warns)
				}
			})
		})
	}
}

// An event that leaves no room for a reason is kept with it all the same, also where the source
// deletes what was acknowledged.
func TestLetterOfALargeEventLosesNothing(t *testing.T) {
	for name, large := range map[string]bus.Event{
		"data":    {ID: "1", Topic: "order.placed", Data: bytes.Repeat([]byte("x\n"), 1<<19-100)},
		"headers": {ID: "1", Topic: "order.placed", Data: []byte("x"), Headers: bus.Headers{"Huge": {strings.Repeat("h", 65_000)}}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				var err error
				w.bus, err = membus.New(&membus.Options{Streams: []membus.Stream{
					{Name: "orders", Topics: []string{"order.>"}, WorkQueue: true}, {Name: "dead", Topics: []string{"dead.>"}},
				}})
				must(t, err)
				w.publish(large)
				s := w.subscribe(func(context.Context, bus.Event) error {
					return consumer.Permanent(errors.New(strings.Repeat("e", 70_000)))
				}, nil)
				time.Sleep(time.Minute)
				w.drain(s)
				l, parts := w.letterInParts()
				if l == nil || len(parts) == 0 || len(parts) != l.Parts || !strings.HasPrefix(l.Reason, "permanent: eee") || len(l.Error) < 1000 {
					t.Fatalf("letter %+v with %d parts", l, len(parts))
				}
				must(t, l.Join(parts...))
				if l.Event.ID != "1" || l.Event.Topic != large.Topic || !bytes.Equal(l.Event.Data, large.Data) || l.Event.Headers.Get("Huge") != large.Headers.Get("Huge") {
					t.Errorf("the event was not kept: %.300q", l.Event)
				}
				if info, err := w.bus.Topic(w.t.Context(), "order.placed", "billing", bus.Start{}); err != nil || info.First.Sequence != 0 || s.Stats().Dead != 1 {
					t.Errorf("the source has %+v, %v; stats %+v", info.First, err, s.Stats())
				}
			})
		})
	}
}

// letterInParts reads the one letter of the group.
func (w *harness) letterInParts() (l *consumer.Letter, parts []bus.Event) {
	w.t.Helper()
	s, err := w.bus.Subscribe(w.t.Context(), "dead.>", "inspector", nil)
	must(w.t, err)
	ds, err := s.(*membus.Source).TryFetch(1000)
	must(w.t, err)
	for _, d := range ds {
		got, err := consumer.ParseLetter(d.Event)
		switch {
		case errors.Is(err, consumer.ErrLetterPart) && l == nil: // the letter is the last
			parts = append(parts, d.Event)
		case err == nil && l == nil:
			l = got
		default:
			w.t.Fatalf("event %q: %v", d.Event.ID, err)
		}
	}
	return l, parts
}

// refusing is a bus that takes small events alone on the dead-letter topic, once it is told to.
type refusing struct {
	bus.Bus
	limit *int
}

func (r refusing) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	info, err := r.Bus.Topic(ctx, topic, group, from)
	info.MaxBytes = *r.limit
	return info, err
}

func (r refusing) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	receipts := make([]bus.Receipt, len(events))
	for i, e := range events {
		if len(e.Data) > *r.limit {
			receipts[i].Err = bus.ErrTooLarge
			continue
		}
		rs, err := r.Bus.Publish(ctx, e)
		if err != nil {
			receipts[i].Err = err
			continue
		}
		receipts[i] = rs[0]
	}
	return receipts, nil
}

// The limit of the stream was lowered after the start: letters have parts from then on.
func TestLetterFitsALimitThatWasLowered(t *testing.T) {
	inBubble(t, func(w *harness) {
		limit := 1 << 20
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), refusing{w.bus, &limit}, "order.*", "billing", w.store,
			func(context.Context, bus.Event) error { return consumer.Permanent(errors.New("no")) },
			&consumer.Options{Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		limit = 64 << 10
		e := order("1")
		e.Data = make([]byte, 200<<10)
		w.publish(e)
		time.Sleep(time.Minute)
		w.drain(s)
		l, parts := w.letterInParts()
		if l == nil {
			t.Fatal("no letter")
		}
		must(t, l.Join(parts...))
		if len(parts) < 4 || !bytes.Equal(l.Event.Data, e.Data) {
			t.Errorf("%d parts, %d bytes", len(parts), len(l.Event.Data))
		}
	})
}

// partly is a bus that loses the first part of a letter once.
type partly struct {
	bus.Bus
	lost   *bool
	stored *[]string
}

func (p partly) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	receipts := make([]bus.Receipt, len(events))
	var all error
	for i, e := range events {
		if _, err := consumer.ParseLetter(e); errors.Is(err, consumer.ErrLetterPart) && !*p.lost {
			*p.lost = true
			receipts[i].Err = bus.ErrUnavailable
			all = bus.ErrUnavailable
			continue
		}
		rs, err := p.Bus.Publish(ctx, e)
		receipts[i], all = rs[0], errors.Join(all, err)
		*p.stored = append(*p.stored, e.ID)
	}
	return receipts, all
}

// Whoever reads a letter finds its parts stored before it.
func TestLetterIsNotStoredBeforeItsParts(t *testing.T) {
	inBubble(t, func(w *harness) {
		var lost bool
		var stored []string
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), partly{w.bus, &lost, &stored}, "order.*", "billing", w.store,
			func(context.Context, bus.Event) error { return consumer.Permanent(errors.New("no")) },
			&consumer.Options{Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		e := order("1")
		e.Data = make([]byte, 1<<20-100)
		w.publish(e)
		time.Sleep(time.Minute)
		w.drain(s)
		// part 2, the first one being lost; then all again
		if len(stored) != 4 || !strings.HasSuffix(stored[0], "/2") || !strings.HasSuffix(stored[1], "/1") || !strings.HasSuffix(stored[2], "/2") || !lost {
			t.Errorf("stored in this order: %q", stored)
		}
		l, parts := w.letterInParts()
		if l == nil {
			t.Fatal("no letter")
		}
		must(t, l.Join(parts...))
	})
}
