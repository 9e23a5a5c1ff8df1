package projector_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/projector"
)

// reference is what the events make of a collection when they are handled one after the other, in
// order and once each.
func reference(events []stored, policy projector.Policy) map[string]string {
	owner, latest := map[string]string{}, map[string]user{}
	for _, s := range events {
		change := decodeUser(s.event)
		latest[s.event.Key] = change
		if change.Email == "" || change.Name == "" {
			continue
		}
		if _, taken := owner[change.Email]; !taken || policy == projector.LastWins {
			owner[change.Email] = s.event.Key
		}
	}
	out := map[string]string{}
	for key, u := range latest {
		if u.Name == "" {
			continue
		}
		if policy != "" && owner[u.Email] != key {
			u.Email = ""
		}
		out[key] = fmt.Sprintf("%s <%s>", u.Name, u.Email)
	}
	return out
}

// delivery is some events that a process is given at once, and the command at which it is killed.
type delivery struct {
	events []stored
	kill   int // negative: never
	late   bool
}

// Whatever the order of delivery, the duplicates, the processes at once and the kills between any
// two writes: the documents are those of the sorted, deduplicated events.
func TestDocumentsDoNotDependOnTheSchedule(t *testing.T) {
	t.Parallel()
	for _, policy := range []projector.Policy{"", projector.LastWins, projector.FirstWins, projector.DeadLetter} {
		t.Run("policy="+string(policy), func(t *testing.T) {
			t.Parallel()
			testSchedules(t, policy)
		})
	}
}

func testSchedules(t *testing.T, policy projector.Policy) {
	t.Helper()
	db := mongotest.Database(t)
	proxies := make([]*mongowire.Proxy, 3)
	colls := make([]*driver.Collection, len(proxies))
	for i := range proxies {
		proxies[i] = mongowire.New(t, mongotest.URI(t))
		colls[i] = through(t, proxies[i], db.Collection("users"))
	}
	o := &projector.Options{}
	if policy != "" {
		o = unique(policy)
	}
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		name := fmt.Sprintf("users%d", run)
		events := drawEvents(rt)
		plans := make([][]delivery, len(proxies))
		for i := range plans {
			plans[i] = drawDeliveries(rt, events)
		}
		direct := db.Collection(name)
		projection(t, direct, projectUser, o)
		var wg sync.WaitGroup
		for i, plan := range plans {
			p, err := projector.New(colls[i].Database().Collection(name), projectUser, o)
			must(t, err)
			wg.Go(func() { deliverAll(t, p, proxies[i], plan) })
		}
		wg.Wait()
		// What no process was given in whole is redelivered to one.
		p, err := projector.New(direct, projectUser, o)
		must(t, err)
		deliverAll(t, p, proxies[0], []delivery{{events: missing(events, plans), kill: -1}})
		if got, want := documents(t, direct), reference(events, policy); !maps.Equal(got, want) {
			rt.Fatalf("documents %v\nwant %v\nevents %v", got, want, events)
		}
		must(t, direct.Drop(t.Context()))
	})
}

func drawEvents(t *rapid.T) []stored {
	events := make([]stored, rapid.IntRange(1, 10).Draw(t, "events"))
	for i := range events {
		u := user{
			Name:  rapid.SampledFrom([]string{fmt.Sprint("n", i), fmt.Sprint("n", i), fmt.Sprint("n", i), ""}).Draw(t, "name"),
			Email: rapid.SampledFrom([]string{"", "x", "x", "y"}).Draw(t, "email"),
		}
		e := userEvent(fmt.Sprint(i), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"), u)
		events[i] = stored{event: e, at: at(uint64(i + 1))}
	}
	return events
}

func drawDeliveries(t *rapid.T, events []stored) []delivery {
	plan := make([]delivery, rapid.IntRange(0, 6).Draw(t, "deliveries"))
	for i := range plan {
		plan[i] = delivery{
			events: rapid.SliceOfN(rapid.SampledFrom(events), 1, 4).Draw(t, "batch"),
			kill:   rapid.IntRange(-3, 8).Draw(t, "killed at command"), late: rapid.Bool().Draw(t, "after it was done"),
		}
	}
	return plan
}

// missing are the events that no plan has.
func missing(events []stored, plans [][]delivery) []stored {
	return slices.DeleteFunc(slices.Clone(events), func(s stored) bool {
		for _, plan := range plans {
			for _, d := range plan {
				if slices.ContainsFunc(d.events, func(o stored) bool { return o.at == s.at }) {
					return true
				}
			}
		}
		return false
	})
}

// deliverAll delivers what a process is given. What it was killed at is redelivered until it is
// handled.
func deliverAll(t *testing.T, p *projector.Projection, w *mongowire.Proxy, plan []delivery) {
	t.Helper()
	for _, d := range plan {
		if d.kill >= 0 {
			undo := w.Cut(d.kill, d.late)
			_ = deliver(p, d.events) // it was killed, or it was not
			undo()
		}
		for try := 0; ; try++ {
			err := deliver(p, d.events)
			if err == nil || consumer.IsPermanent(err) {
				break
			}
			if try == 20 {
				t.Errorf("delivered %d times: %v", try, err)
				return
			}
		}
	}
}

// deliver delivers events in a batch. It returns an error that is not permanent if there is one.
func deliver(p *projector.Projection, events []stored) error {
	es, ps := make([]bus.Event, len(events)), make([]bus.Position, len(events))
	for i, s := range events {
		es[i], ps[i] = s.event, s.at
	}
	var permanent error
	for _, err := range p.DeliverBatch(context.Background(), group, es, ps) {
		if err != nil && !consumer.IsPermanent(err) {
			return err
		}
		permanent = errors.Join(permanent, err)
	}
	return permanent
}

func decodeUser(e bus.Event) (u user) {
	if err := bson.Unmarshal(e.Data, &u); err != nil {
		panic(err)
	}
	return u
}
