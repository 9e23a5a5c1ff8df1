package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// planned makes a stream of "planned.>" that takes schedules.
func (w *world) planned(t *testing.T, change func(*jetstream.StreamConfig)) {
	t.Helper()
	c := jetstream.StreamConfig{
		Name: "planned", Subjects: append([]string{"planned.>"}, natsbus.ScheduleSubjects([]string{"planned.>"})...), AllowMsgSchedules: true, AllowRollup: true,
	}
	if change != nil {
		change(&c)
	}
	makeStream(t, w.js, c)
}

func reminder(id string) bus.Event {
	return bus.Event{ID: id, Topic: "planned.reminder", Data: []byte("payload of " + id)}
}

// Where a schedule would be refused, or lost, the reason and what to do are told before it is sent.
func TestSchedulingIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*jetstream.StreamConfig)
		says   string
	}{
		"not allowed":    {func(c *jetstream.StreamConfig) { c.AllowMsgSchedules = false }, "allow_schedules"},
		"discard new":    {func(c *jetstream.StreamConfig) { c.AllowMsgSchedules, c.Discard = false, jetstream.DiscardNew }, "discard"},
		"interest":       {func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, "lost"},
		"other subjects": {func(c *jetstream.StreamConfig) { c.Subjects = []string{"planned.>"} }, "onceish-schedule.planned.reminder.*"},
		"copies": {func(c *jetstream.StreamConfig) {
			c.AllowMsgSchedules, c.Sources = false, []*jetstream.StreamSource{{Name: stream}}
		}, "copies"},
		"keeps too short": {func(c *jetstream.StreamConfig) { c.MaxAge = time.Minute }, "max_age"},
		"renames": {func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: ">", Destination: "planned.all.>"}
		}, "renames"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.planned(t, c.change)
			receipts, err := w.bus.Schedule(t.Context(), time.Now().Add(time.Hour), reminder("a"))
			if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "planned") {
				t.Errorf("%v; want it to be unsupported, for %q", err, c.says)
			}
			if len(receipts) != 1 || receipts[0].Err == nil {
				t.Errorf("receipts %+v", receipts)
			}
		})
	}
}

func TestAnOldServerDoesNotSchedule(t *testing.T) {
	t.Parallel()
	const old = "2.11.9"
	b := newBus(t, natstest.Connect(t, natstest.Pretend(t, old)), nil)
	_, err := b.Schedule(t.Context(), time.Now().Add(time.Hour), reminder("a"))
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), old) || !strings.Contains(err.Error(), natsbus.OldestScheduling) {
		t.Errorf("%v; want it to name %s and %s", err, old, natsbus.OldestScheduling)
	}
}

// A group that reads all subjects of a stream is told of schedules as messages of the server.
func TestAGroupOfAllSubjectsRunsNoSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.planned(t, nil)
	if _, err := w.bus.Schedule(t.Context(), time.Now().Add(time.Second), reminder("a")); err != nil {
		t.Fatal(err)
	}
	o := natsbus.Options{Stream: "planned"}
	src, err := newBus(t, w.nc, &o).Subscribe(t.Context(), ">", group, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close(context.Background()) })
	for _, want := range []string{"message schedule", ""} {
		d := fetch(t, src, 1)[0]
		if d.ServerMessage != want {
			t.Fatalf("%q is taken for %q; want %q", d.Event.Topic, d.ServerMessage, want)
		}
		ack(t, d)
	}
}

// Events are cancelled at about the time when they are due. Those that were, are not published, and
// the others are, once.
func TestCancellingRacesWithPublishing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.planned(t, nil)
	src, err := w.bus.Subscribe(t.Context(), "planned.>", group, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close(context.Background()) })
	const n = 60
	base := time.Now().Add(1500 * time.Millisecond)
	for i := range n {
		if _, err := w.bus.Schedule(t.Context(), base.Add(time.Duration(i)*20*time.Millisecond), reminder(fmt.Sprintf("%03d", i))); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	cancelled, unknown := map[string]bool{}, map[string]bool{}
	var racing sync.WaitGroup
	for i := range n {
		racing.Go(func() {
			id := fmt.Sprintf("%03d", n-1-i)
			err := w.bus.CancelScheduled(t.Context(), "planned.reminder", id)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				cancelled[id] = true
			case errors.Is(err, context.DeadlineExceeded):
				unknown[id] = true // the machine stood still
			case !errors.Is(err, bus.ErrNotScheduled):
				t.Errorf("CancelScheduled of %s: %v", id, err)
			}
		})
	}
	racing.Wait()
	published := map[string]int{}
	for len(published) < n-len(cancelled)-len(unknown) {
		d := fetch(t, src, 1)[0]
		published[d.Event.ID]++
		ack(t, d)
	}
	eventually(t, "nothing waiting", func() bool {
		left, err := w.bus.Scheduled(t.Context(), "planned.>", n)
		return err == nil && len(left) == 0
	})
	if more, err := src.Fetch(t.Context(), 0); err != nil || len(more) > 0 {
		t.Errorf("%d more events came, %v", len(more), err)
	}
	for id, times := range published {
		if times != 1 || cancelled[id] {
			t.Errorf("%s was published %d times, and cancelled: %t", id, times, cancelled[id])
		}
	}
}

// A schedule's subject tells events apart, and lies under the patterns of its topic alone.
func TestScheduleSubjectsAreInjective(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		topic, other := rapid.SampledFrom([]string{"a", "a.b", "a.b.c", "b"}), rapid.StringN(0, 300, 400)
		t1, t2, id1, id2 := topic.Draw(t, "topic"), topic.Draw(t, "topic"), other.Draw(t, "id"), other.Draw(t, "id")
		s1, s2 := natsbus.ScheduleSubject(t1, id1), natsbus.ScheduleSubject(t2, id2)
		if (s1 == s2) != (t1 == t2 && id1 == id2) {
			t.Fatalf("%q of %q has %s, and %q of %q has %s", id1, t1, s1, id2, t2, s2)
		}
		if id1 == "" {
			return // no event has it
		}
		if err := bus.ValidTopic(s1); err != nil {
			t.Fatal(err)
		}
		for _, pattern := range []string{"a", "a.*", "a.>", ">", "b"} {
			under := false
			for _, s := range natsbus.ScheduleSubjects([]string{pattern}) {
				under = under || bus.Match(s, s1)
			}
			if bus.Match(pattern, t1) && !under && pattern != ">" || bus.Match(pattern, s1) && pattern != ">" {
				t.Fatalf("%s for topic %q: under the schedules of %q: %t", s1, t1, pattern, under)
			}
		}
	})
}
