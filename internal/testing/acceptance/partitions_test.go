package acceptance

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/group"
	natsgroup "github.com/onceish/onceish/group/nats"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

const (
	partitions     = 16
	partitionsTTL  = time.Second // of members' rows, and leases
	partitionsKeys = 60
)

// partitionRun is one run of a handler that has succeeded.
type partitionRun struct {
	key, owner string
	number     int
}

// partitionRig is processes of a group that consume a topic in partitions.
type partitionRig struct {
	t      *testing.T
	server *natstest.Server
	bus    *natsbus.Bus
	marks  dedupe.Store // nil: the key-value store, over the connection of each process

	mu       sync.Mutex
	runs     []partitionRun
	running  map[string]string // by key: who runs an event of it
	overlaps []string
}

// TestPartitionsMoveUnderLoad: three processes consume 16 partitions; one joins, one loses its
// connection for a moment, again and again, one is drained, and one is cut off until it has lost
// its partitions. Nothing is lost, first effects of a key are in order over all processes, and only
// what the one that was cut off ran is repeated.
func TestPartitionsMoveUnderLoad(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"kv", "mongo"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			r := newPartitionRig(t, store == "mongo")
			stop := r.load()
			a, b := r.start("a"), r.start("b")
			r.awaitOwned(a, 8)
			r.awaitOwned(b, 8)
			c := r.start("c")
			r.awaitOwned(c, 5)
			for range 5 { // deliveries on their way get lost, and its ownership goes on
				c.proxy.Cut()
				time.Sleep(200 * time.Millisecond)
			}
			a.drain()
			r.awaitOwned(b, 8)
			b.proxy.Refuse(true)
			b.proxy.Cut()
			r.awaitOwned(c, partitions)
			b.proxy.Refuse(false)
			r.awaitOwned(b, 8)
			published := stop()
			r.awaitRuns(published)
			r.checkOrder(published, 16)
			b.drain()
			c.drain()
		})
	}
}

func newPartitionRig(t *testing.T, mongo bool) *partitionRig {
	t.Helper()
	r := &partitionRig{t: t, server: natstest.Start(t, nil), running: make(map[string]string)}
	var err error
	if mongo {
		r.marks, err = mongodedupe.New(t.Context(), mongotest.Collection(t), nil)
		must(t, err)
	}
	r.bus, err = natsbus.New(natstest.Connect(t, r.server.URL()), &natsbus.Options{
		Provision: &natsbus.Provision{Subjects: []string{"order.placed.>"}}, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	t.Cleanup(r.bus.Close)
	must(t, r.bus.Provision(t.Context(), "order.placed"))
	dead, err := natsbus.New(natstest.Connect(t, r.server.URL()), nil)
	must(t, err)
	t.Cleanup(dead.Close)
	must(t, dead.Provision(t.Context(), "dead.billing"))
	return r
}

// partitionProcess is one of the processes.
type partitionProcess struct {
	rig   *partitionRig
	name  string
	proxy *proxy.Proxy
	sub   *consumer.Subscription
	leave context.CancelFunc
	left  chan struct{}
}

// start starts a process on a connection of its own.
func (r *partitionRig) start(name string) *partitionProcess {
	t := r.t
	t.Helper()
	p := &partitionProcess{rig: r, name: name, left: make(chan struct{})}
	var url string
	p.proxy, url = proxied(t, r.server.URL())
	nc := natstest.Connect(t, url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	quiet := slog.New(slog.DiscardHandler)
	b, err := natsbus.New(nc, &natsbus.Options{Logger: quiet})
	must(t, err)
	t.Cleanup(b.Close)
	groups, err := natsgroup.New(t.Context(), nc, &natsgroup.Options{MemberTTL: partitionsTTL, Logger: quiet})
	must(t, err)
	session, err := group.Join(t.Context(), groups, "billing", &group.Options{Logger: quiet})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	p.leave = cancel
	go func() {
		defer close(p.left)
		_ = session.Run(ctx) // one that is cut off cannot say that it leaves
	}()
	p.sub, err = consumer.SubscribeExactlyOnce(t.Context(), b, "order.placed", "billing", r.store(nc), p.handle, &consumer.Options{
		Order: consumer.Partitions(partitions), Session: session, Lease: partitionsTTL, Logger: quiet,
	})
	must(t, err)
	t.Cleanup(p.drain)
	return p
}

// store is the dedupe store as a process reaches it.
func (r *partitionRig) store(nc *nats.Conn) dedupe.Store {
	r.t.Helper()
	if r.marks != nil {
		return r.marks
	}
	s, err := kvdedupe.New(r.t.Context(), nc, &kvdedupe.Options{Logger: slog.New(slog.DiscardHandler)})
	must(r.t, err)
	return s
}

// drain ends the process in order.
func (p *partitionProcess) drain() {
	p.rig.t.Helper()
	if err := p.sub.Drain(context.Background()); err != nil {
		p.rig.t.Errorf("drain of %s: %v", p.name, err)
	}
	p.leave()
	<-p.left
}

func (p *partitionProcess) handle(ctx context.Context, e bus.Event) error {
	r := p.rig
	r.mu.Lock()
	if other := r.running[e.Key]; other != "" {
		r.overlaps = append(r.overlaps, fmt.Sprintf("%s of key %s at %s beside %s", e.ID, e.Key, p.name, other))
	}
	r.running[e.Key] = p.name
	r.mu.Unlock()
	wait := time.NewTimer(2 * time.Millisecond)
	defer wait.Stop()
	var err error
	select {
	case <-wait.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, e.Key)
	if err != nil {
		return err
	}
	number := 0
	if _, err := fmt.Sscan(string(e.Data), &number); err != nil {
		return err
	}
	r.runs = append(r.runs, partitionRun{key: e.Key, owner: p.name, number: number})
	return nil
}

// load publishes 500 events each second. stop ends that, and returns how many there are.
func (r *partitionRig) load() (stop func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	published := 0
	go func() {
		defer close(done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for ; ctx.Err() == nil; <-ticker.C {
			es := make([]bus.Event, 10)
			for i := range es {
				n := published + i
				es[i] = bus.Event{ID: fmt.Sprint(n), Topic: "order.placed", Key: fmt.Sprint("k", n%partitionsKeys), Data: []byte(fmt.Sprint(n))}
			}
			if _, err := bus.Partitioned(r.bus, partitions).Publish(context.Background(), es...); err != nil {
				r.t.Errorf("publish: %v", err)
				return
			}
			published += len(es)
		}
	}()
	return func() int {
		cancel()
		<-done
		return published
	}
}

// awaitOwned waits until a process owns at least so many partitions.
func (r *partitionRig) awaitOwned(p *partitionProcess, partitions int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if !watch(ctx, func() bool { return len(p.sub.Partitions()) >= partitions }) {
		r.t.Fatalf("%s owns partitions %v after %v, not %d; healthy: %v", p.name, p.sub.Partitions(), patience, partitions, p.sub.Healthy())
	}
}

// firstRuns returns the first run of each event, in the order in which they ended.
func (r *partitionRig) firstRuns() (first []partitionRun, repeated int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[int]bool)
	for _, run := range r.runs {
		if seen[run.number] {
			repeated++
			continue
		}
		seen[run.number] = true
		first = append(first, run)
	}
	return first, repeated
}

// awaitRuns waits until so many events have run.
func (r *partitionRig) awaitRuns(events int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if !watch(ctx, func() bool { first, _ := r.firstRuns(); return len(first) == events }) {
		first, _ := r.firstRuns()
		r.t.Fatalf("%d of %d events have run after %v", len(first), events, patience)
	}
}

// checkOrder checks the first runs of each key, and how many were repeated.
func (r *partitionRig) checkOrder(events, mayRepeat int) {
	r.t.Helper()
	first, repeated := r.firstRuns()
	if len(first) != events || repeated > mayRepeat {
		r.t.Errorf("%d of %d events have run, and %d again; %d may", len(first), events, repeated, mayRepeat)
	}
	last := make(map[string]partitionRun)
	for _, run := range first {
		if before, ok := last[run.key]; ok && before.number > run.number {
			r.t.Errorf("key %s: event %d ran at %s before %d at %s", run.key, before.number, before.owner, run.number, run.owner)
		}
		last[run.key] = run
	}
	if len(r.overlaps) > 0 {
		r.t.Errorf("%d events ran beside others of their key: %s", len(r.overlaps), r.overlaps[0])
	}
}
