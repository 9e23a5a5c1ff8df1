package deadletter_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deadletter"
)

func TestFilterSelectsByEachOfItsFields(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		middle := time.Now()
		other := order("2")
		other.Topic, other.Type = "order.paid", "paid"
		w.publish(other)
		w.settle()
		first := w.list(deadletter.Filter{})[0]
		for _, c := range []struct {
			f    deadletter.Filter
			want string
		}{
			{deadletter.Filter{}, "1 2"},
			{deadletter.Filter{Group: "billing", Topic: "order.*", Error: "country XX", Reason: "permanent"}, "1 2"},
			{deadletter.Filter{Group: "audit"}, ""},
			{deadletter.Filter{Topic: "order.paid"}, "2"},
			{deadletter.Filter{Since: middle}, "2"},
			{deadletter.Filter{Until: middle}, "1"},
			{deadletter.Filter{Since: middle, Until: middle.Add(time.Nanosecond)}, ""},
			{deadletter.Filter{Error: "timeout"}, ""},
			{deadletter.Filter{Reason: "timeout"}, ""},
			{deadletter.Filter{Type: "paid"}, "2"},
			{deadletter.Filter{ID: "1"}, "1"},
			{deadletter.Filter{ID: first.ID}, "1"},
			{deadletter.Filter{Data: `:"2"`}, "2"},
		} {
			if got := strings.Join(ids(w.list(c.f)), " "); got != c.want {
				t.Errorf("%+v selects %q; want %q", c.f, got, c.want)
			}
		}
	})
}

func TestListedLetterIsLoadedWhole(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		l := w.list(deadletter.Filter{})[0]
		if l.Event.Data != nil || l.Group != "billing" || l.Error == "" || l.Event.Topic != "order.placed" {
			t.Errorf("listed as %+v", l)
		}
		must(t, w.topic.Load(w.t.Context(), &l))
		if string(l.Event.Data) != `{"order":"1"}` {
			t.Errorf("loaded as %+v", l)
		}
		gone := w.list(deadletter.Filter{})[0]
		must(t, errors.Join(w.topic.Drop(w.t.Context(), l)...))
		if err := w.topic.Load(w.t.Context(), &gone); !errors.Is(err, bus.ErrNoEvent) {
			t.Errorf("Load of a letter that is gone: %v; want ErrNoEvent", err)
		}
	})
}

func TestListReportsWhatIsNoLetterAndGoesOn(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(bus.Event{ID: "stray", Topic: "dead.billing"}, order("1"))
		w.settle()
		var got []string
		for l, err := range w.topic.List(w.t.Context(), deadletter.Filter{}, bus.Position{}) {
			if err != nil && (!errors.Is(err, consumer.ErrNotLetter) || l.Position.Sequence == 0) {
				t.Errorf("%+v, %v; want ErrNotLetter and a position", l.Position, err)
			}
			got = append(got, l.Event.ID)
		}
		if !slices.Equal(got, []string{"", "1"}) {
			t.Errorf("listed %q", got)
		}
		causes, skipped, err := w.topic.CountByError(w.t.Context(), deadletter.Filter{})
		if err != nil || skipped != 1 || len(causes) != 1 || causes[0].Letters != 1 {
			t.Errorf("CountByError: %+v, %d, %v", causes, skipped, err)
		}
	})
}

func TestTopicWithoutStreamIsAnError(t *testing.T) {
	t.Parallel()
	w := newHarness(t)
	if _, err := deadletter.OpenTopic(w.bus, "dead.>"); err == nil {
		t.Error("a pattern was taken for a topic")
	}
	if _, err := deadletter.OpenTopic(nil, "dead.billing"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a bus without abilities: %v; want ErrUnsupported", err)
	}
}

// Pages that go on after a position have each letter once that is there all the time.
func TestPagesNeitherSkipNorRepeatWhileLettersComeAndGo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		first := rapid.IntRange(0, 12).Draw(rt, "letters at first")
		size := rapid.IntRange(1, 4).Draw(rt, "page size")
		drops := rapid.SliceOfN(rapid.IntRange(0, 40), 12, 12).Draw(rt, "drops")
		more := rapid.SliceOfN(rapid.IntRange(0, 2), 12, 12).Draw(rt, "letters between pages")
		synctest.Test(t, func(t *testing.T) {
			w := newHarness(t)
			w.subscribe("billing", nil)
			published := 0
			add := func(n int) {
				for range n {
					published++
					w.publish(order(strconv.Itoa(published)))
				}
				w.settle()
			}
			add(first)
			var listed, dropped []string
			var after bus.Position
			for page := range 12 {
				n := 0
				for l, err := range w.topic.List(w.t.Context(), deadletter.Filter{}, after) {
					must(t, err)
					listed, after = append(listed, l.Event.ID), l.Position
					if n++; n == size {
						break
					}
				}
				for _, l := range w.list(deadletter.Filter{}) {
					if l.Event.ID == strconv.Itoa(drops[page]) {
						dropped = append(dropped, l.Event.ID)
						must(t, errors.Join(w.topic.Drop(context.Background(), l)...))
					}
				}
				add(more[page])
			}
			for l, err := range w.topic.List(w.t.Context(), deadletter.Filter{}, after) {
				must(t, err)
				listed = append(listed, l.Event.ID)
			}
			for i := range published {
				id := strconv.Itoa(i + 1)
				n := 0
				for _, l := range listed {
					if l == id {
						n++
					}
				}
				if n > 1 || n == 0 && !slices.Contains(dropped, id) {
					rt.Errorf("letter of %q was listed %d times in %q, after %q were dropped", id, n, listed, dropped)
				}
			}
		})
	})
}
