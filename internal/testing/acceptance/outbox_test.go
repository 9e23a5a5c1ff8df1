package acceptance

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/faulty"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// keys is how many keys the rows of these tests have; every eleventh row has none.
const keys = 10

// rows are events "KEY/0", "KEY/1", … of each key, from the given row on.
func rows(from, n int) []bus.Event {
	es := make([]bus.Event, n)
	for i := range es {
		at, key := from+i, "k"+strconv.Itoa((from+i)%(keys+1))
		es[i] = bus.Event{ID: fmt.Sprintf("%s/%d", key, at/(keys+1)), Topic: "order.placed", Key: key, Data: []byte("row")}
		if at%(keys+1) == keys {
			es[i].Key = ""
		}
	}
	return es
}

func (r *rig) add(q *mongooutbox.Queue, from, n int) {
	r.t.Helper()
	_, err := q.AddAlone(r.t.Context(), rows(from, n)...)
	must(r.t, err)
}

// sent waits until no row is pending, and checks that none is dead.
func (r *rig) sent(q *mongooutbox.Queue, n int) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("%d rows are sent", n), func() bool {
		c, err := q.Count(r.t.Context())
		return err == nil && c.Pending == 0
	})
	c, err := q.Count(r.t.Context()) // one count is not of one moment
	must(r.t, err)
	if c.Dead != 0 || c.Sent != n {
		r.t.Errorf("%+v, want %d sent", c, n)
	}
}

// inOrder checks that each of n rows is on the stream, at most so often, and that each key's first
// publications are in order.
func (r *rig) inOrder(n, most int) (repeated int) {
	r.t.Helper()
	times, last := map[string]int{}, map[string]int{}
	for _, id := range r.ids("order.placed") {
		times[id]++
		if times[id] > most {
			r.t.Errorf("%s is there %d times", id, times[id])
		}
		if times[id] > 1 {
			repeated++
			continue
		}
		key, number, _ := strings.Cut(id, "/")
		at, err := strconv.Atoi(number)
		must(r.t, err)
		if before, ok := last[key]; key != "k"+strconv.Itoa(keys) && (ok && at != before+1 || !ok && at != 0) {
			r.t.Errorf("%s comes after %d of its key", id, before)
		}
		last[key] = at
	}
	if len(times) != n {
		r.t.Errorf("%d of %d rows were published", len(times), n)
	}
	return repeated
}

// ids are those on a topic, in its order.
func (r *rig) ids(topic string) (ids []string) {
	r.t.Helper()
	nc := natstest.Connect(r.t, r.url)
	js, err := jetstream.New(nc)
	must(r.t, err)
	c, err := js.OrderedConsumer(r.t.Context(), r.stream(topic), jetstream.OrderedConsumerConfig{})
	must(r.t, err)
	for {
		batch, err := c.FetchNoWait(5000)
		must(r.t, err)
		n := len(ids)
		for m := range batch.Messages() {
			ids = append(ids, m.Headers().Get("ce-id"))
		}
		must(r.t, batch.Error())
		if len(ids) == n {
			return ids
		}
	}
}

// TestDrainerKilledAtEachStep: what a killed drainer had in hand another one publishes, once its
// lease is over; the stream has it once while it knows its message id, and twice after that if the
// first publication was not marked.
func TestDrainerKilledAtEachStep(t *testing.T) {
	t.Parallel()
	const n = 400
	for _, step := range []struct {
		name    string
		die     death
		repeats bool // if the stream forgets
	}{
		{"with the lease alone", death{At: faulty.Pending}, false},
		{"with rows", death{At: faulty.Pending, After: true}, false},
		{"before it publishes", death{At: faulty.Publish}, false},
		{"amid publications", death{At: faulty.Publish, Nth: 5}, true},
		{"after it published", death{At: faulty.Publish, After: true}, true},
		{"before it marks", death{At: faulty.SettleRows}, true},
		{"after it marked", death{At: faulty.SettleRows, After: true}, true}, // others are on their way
	} {
		for name, streams := range map[string]*natsbus.Provision{"": nil, ", and the stream forgets": {Duplicates: 100 * time.Millisecond}} {
			t.Run(step.name+name, func(t *testing.T) {
				t.Parallel()
				r := rigOn(t, natstest.Start(t, nil).URL(), streams)
				q := newBox(t, r)
				r.add(q, 0, n)
				// It is killed under its first lease, and its heir renews its own in time, also on
				// a machine that has much else to do: who loses a lease publishes again, and a
				// stream that forgets has that twice.
				victim := r.drainer("killed", drainerScript{Batch: 20, Lease: 8 * lease, Die: step.die})
				victim.awaitGone()
				if status, ok := victim.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
					t.Fatalf("it ended with %v", victim.ProcessState)
				}
				r.add(q, n, n)
				heir := r.drainer("heir", drainerScript{Lease: 30 * time.Second})
				r.sent(q, 2*n)
				heir.stop()
				most := 1
				if streams != nil && step.repeats {
					most = 2
				}
				certain := step.die == death{At: faulty.Publish, After: true} || step.die == death{At: faulty.SettleRows}
				if again := r.inOrder(2*n, most); most > 1 && certain && again == 0 {
					t.Error("nothing was published again: the test kills at another place")
				}
			})
		}
	}
}

// TestThreeDrainersWithKillsUnderLoad: nothing is lost, nothing stored twice, and each key's order
// kept while rows are added, drainers are killed at random, and others take their place.
func TestThreeDrainersWithKillsUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	q := newBox(t, r)
	random := rand.New(rand.NewPCG(1, 2))
	var running []*process
	for i := range 3 {
		running = append(running, r.drainer(fmt.Sprint("first-", i), drainerScript{Batch: 50}))
	}
	for i := range running {
		r.ledger.await(t, 1, "ready", fmt.Sprint("first-", i), "")
	}
	const n, kills = 6000, 8
	var adding sync.WaitGroup
	adding.Go(func() {
		for at := 0; at < n; at += 20 {
			if _, err := q.AddAlone(t.Context(), rows(at, 20)...); err != nil {
				t.Error(err)
				return
			}
			time.Sleep(5 * time.Millisecond) // the load, not a wait
		}
	})
	for i := range kills {
		before, err := q.Count(t.Context())
		must(t, err)
		r.eventually("some rows more are sent", func() bool {
			c, err := q.Count(t.Context())
			return err == nil && c.Sent > before.Sent+n/50
		})
		victim := random.IntN(len(running))
		running[victim].kill()
		running[victim] = r.drainer(fmt.Sprint("next-", i), drainerScript{Batch: 50})
	}
	adding.Wait()
	r.sent(q, n)
	r.inOrder(n, 1)
	for _, p := range running {
		p.stop()
	}
}

// hiccup is how long a server that is well may be silent on a loaded machine.
const hiccup = 2 * time.Second

// TestOutboxWhileNATSIsOutOfReach: rows pile up, memory does not; no attempt is counted; all is
// published when it is back, in order, and what was confirmed to nobody is not stored again.
func TestOutboxWhileNATSIsOutOfReach(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]outage{
		"refuses connections":        refusal((*proxy.Proxy).Cut),
		"hears nothing":              hole(proxy.ToServer),
		"its confirmations get lost": hole(proxy.ToClient),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			q := newBox(t, r)
			p, url := proxied(t, r.url)
			nc := natstest.Connect(t, url, nats.PingInterval(hiccup), nats.MaxPingsOutstanding(1))
			b, err := natsbus.New(nc, &natsbus.Options{Logger: slog.New(slog.DiscardHandler), PublishTimeout: hiccup})
			must(t, err)
			t.Cleanup(b.Close)
			d := r.drain(q, b, &outbox.Options{MaxRows: 1000, MaxBytes: 1 << 20})
			const before, during = 500, 2500
			r.add(q, 0, before)
			r.sent(q, before)
			o.begin(p)
			for at := before; at < before+during; at += 500 {
				r.add(q, at, 500)
			}
			r.eventually("it is not healthy", func() bool { return d.Healthy() != nil })
			until := time.Now().Add(3 * time.Second)
			r.eventually("time has passed", func() bool {
				if s := d.Stats(); s.Rows > 1000 || s.Bytes > 2<<20 {
					t.Fatalf("%+v: more in memory than it may have", s)
				}
				return time.Now().After(until)
			})
			o.end(p)
			r.sent(q, before+during)
			r.inOrder(before+during, 1)
			r.eventually("it is healthy", func() bool { return d.Healthy() == nil })
			tried, err := q.List(t.Context(), outbox.Filter{}, before+during)
			must(t, err)
			for i := range tried {
				if tried[i].Attempts > 0 {
					t.Fatalf("%s has %d attempts", tried[i].Event.ID, tried[i].Attempts)
				}
			}
			if s := d.Stats(); s.Outages == 0 {
				t.Errorf("%+v: no outage was seen", s)
			}
		})
	}
}

// TestOutboxWhileMongoDBIsOutOfReach, amid batches and for longer than the lease: what was
// published and not marked is published again, and stored once.
func TestOutboxWhileMongoDBIsOutOfReach(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]outage{
		"refuses connections": refusal((*proxy.Proxy).Cut),
		"hears nothing":       hole(proxy.ToServer),
		"answers get lost":    hole(proxy.ToClient),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			q := newBox(t, r)
			p, uri := proxied(t, r.mongo)
			d := r.drain(openBox(t, uri, r.db, 4*hiccup), r.bus, &outbox.Options{Batch: 20})
			const n = 3000
			r.add(q, 0, n)
			r.eventually("some rows are sent", func() bool { return d.Stats().Sent > 0 })
			o.begin(p)
			r.eventually("it is not healthy", func() bool { return d.Healthy() != nil })
			until := time.Now().Add(2 * lease)
			r.eventually("its lease is over", func() bool { return time.Now().After(until) })
			o.end(p)
			r.sent(q, n)
			r.inOrder(n, 1)
			r.eventually("it is healthy", func() bool { return d.Healthy() == nil })
		})
	}
}
