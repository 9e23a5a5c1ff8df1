package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// explained is the first story of an event that is as it is to be.
func explained(t *testing.T, c *Connections, id string, wanted func(*explain.Story) bool) *explain.Story {
	t.Helper()
	var story *explain.Story
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		sources, err := c.Explain(t.Context(), "g", nil)
		must(t, err)
		story, err = sources.Story(t.Context(), explain.Query{Topic: "t", ID: id})
		must(t, err)
		if wanted(story) {
			return story
		}
	}
	t.Fatalf("event %q is %q: %s", id, story.State, story.Summary)
	return nil
}

func stands(state explain.State, summary string) func(*explain.Story) bool {
	return func(s *explain.Story) bool { return s.State == state && strings.Contains(s.Summary, summary) }
}

// explainStores are connections with marks in each real store, and others to the same servers.
func explainStores(t *testing.T, f func(t *testing.T, c, other *Connections)) {
	t.Helper()
	t.Parallel()
	for name, connect := range map[string]func(t *testing.T) (c, other *Connections){
		"kv": func(t *testing.T) (c, other *Connections) {
			url := natstest.Start(t, nil).URL()
			c, _ = connectWithStore(t, url)
			other, err := Connect(t.Context(), &ConnectOptions{NATS: url})
			must(t, err)
			t.Cleanup(func() { must(t, other.Close()) })
			return c, other
		},
		"mongo": func(t *testing.T) (c, other *Connections) {
			url, db := natstest.Start(t, nil).URL(), mongotest.Database(t).Name()
			return connectTo(t, url, db), connectTo(t, url, db)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, other := connect(t)
			f(t, c, other)
		})
	}
}

// A story is told over real servers: which process holds an event, what failed, and what waits.
func TestEventsAreExplainedInEachState(t *testing.T) {
	explainStores(t, func(t *testing.T, c, other *Connections) {
		makeGroup(t, c)
		release := make(chan struct{})
		w, err := New("g", c, &Options{Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		w.Handle("t", func(_ context.Context, e bus.Event) error {
			switch e.ID {
			case "run":
				<-release
			case "fail":
				return errors.New("tax service: no rate")
			case "give up":
				return consumer.Permanent(errors.New("no such customer"))
			}
			return nil
		}, &consumer.Options{Backoff: consumer.Backoff{Base: time.Hour, Max: time.Hour}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		_, err = c.Bus().Publish(t.Context(), bus.Event{ID: "run", Topic: "t", Key: "k"}, bus.Event{ID: "behind", Topic: "t", Key: "k"},
			bus.Event{ID: "fail", Topic: "t"}, bus.Event{ID: "give up", Topic: "t"}, bus.Event{ID: "done", Topic: "t"})
		must(t, err)

		host, err := os.Hostname()
		must(t, err)
		process := fmt.Sprintf("%s:%d", host, os.Getpid())
		run := explained(t, other, "run", stands(explain.Running, "attempt 1 runs, or is about to, in "+process))
		if run.Waits[0].Process != process {
			t.Errorf("it waits for %+v", run.Waits)
		}
		explained(t, other, "behind", stands(explain.Pending, `an earlier event of its key is not settled: "run" at sequence 1`))
		explained(t, other, "fail", stands(explain.Retrying, "tax service: no rate"))
		explained(t, other, "give up", stands(explain.Dead, "permanent: no such customer"))
		explained(t, other, "done", stands(explain.Done, "handled at about "))

		sources, err := other.Explain(t.Context(), "g", nil)
		must(t, err)
		l, err := sources.Lag(t.Context(), sources.Group.Cursors[0])
		must(t, err)
		if l.Oldest == nil || l.Oldest.ID != "run" || l.Waits[0].For != explain.ForRun || l.Waits[0].Process != process || l.SecondsBehind <= 0 {
			t.Errorf("%+v", l)
		}
		close(release)
		explained(t, other, "behind", stands(explain.Done, "handled at about "))
		cancel()
		must(t, <-ended)
		explained(t, other, "fail", func(s *explain.Story) bool {
			return s.State == explain.Retrying && len(s.Waits) == 2 && s.Waits[1].For == explain.ForMember
		})
	})
}

// Marks of a group that are kept elsewhere are said to be missing, not that nothing was handled.
func TestMarksOfAnotherStoreAreMissing(t *testing.T) {
	t.Parallel()
	url := natstest.Start(t, nil).URL()
	makeGroup(t, connectTo(t, url, mongotest.Database(t).Name()))
	c, _ := connectWithStore(t, url) // which has marks of other groups
	sources, err := c.Explain(t.Context(), "g", nil)
	must(t, err)
	story, err := sources.Story(t.Context(), explain.Query{Topic: "t", ID: "1"})
	must(t, err)
	if missing := strings.Join(story.Missing, "\n"); sources.Marks != nil || !strings.Contains(missing, "there are no marks of the group in nats-kv onceish-dedupe: if its workers keep them elsewhere") {
		t.Errorf("missing: %s", missing)
	}
}

// The outbox beside the marks is looked into, where there is one, and none is made.
func TestOutboxBesideTheMarksIsLookedInto(t *testing.T) {
	t.Parallel()
	c := connectTo(t, natstest.Start(t, nil).URL(), mongotest.Database(t).Name())
	sources, err := c.Explain(t.Context(), "g", nil)
	must(t, err)
	if sources.Outbox != nil {
		t.Error("an outbox where there is none")
	}
	_, err = openBox(t, c).AddAlone(t.Context(), bus.Event{ID: "1", Topic: "t"})
	must(t, err)
	story := explained(t, c, "1", stands(explain.NotFound, ""))
	if len(story.Timeline) != 1 || story.Timeline[0].Source != explain.FromOutbox {
		t.Errorf("%+v", story.Timeline)
	}
}
