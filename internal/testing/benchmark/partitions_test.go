package benchmark

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	groups "github.com/onceish/onceish/group"
	natsgroup "github.com/onceish/onceish/group/nats"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

// partitionedTopic has the same events as keyedTopic, in partitions.
const partitionedTopic = "order.parted"

const numPartitions = 16

// BenchmarkPartitionsMemory: a keyed backlog in 16 partitions of one process, against the same
// backlog unpartitioned, on the memory store. Wanted is at least 0.8 of its rate.
func BenchmarkPartitionsMemory(b *testing.B) {
	partitions(b, perRound, func(b *testing.B, _ *rig) dedupe.Store {
		store, err := memdedupe.New(nil)
		must(b, err)
		return store
	})
}

// BenchmarkPartitionsMongo is the same on MongoDB.
func BenchmarkPartitionsMongo(b *testing.B) {
	partitions(b, perMongoRound, func(b *testing.B, _ *rig) dedupe.Store {
		store, err := mongodedupe.New(b.Context(), mongotest.Collection(b), nil)
		must(b, err)
		return store
	})
}

// BenchmarkPartitionsKV is the same on the key-value store.
func BenchmarkPartitionsKV(b *testing.B) {
	partitions(b, perMongoRound, func(_ *testing.B, r *rig) dedupe.Store { return r.keyValue() })
}

func partitions(b *testing.B, events int, open func(*testing.B, *rig) dedupe.Store) {
	for _, concurrency := range []int{16, 256} {
		b.Run(fmt.Sprintf("concurrency=%d", concurrency), func(b *testing.B) {
			r := newRig(b)
			must(b, r.bus.Provision(b.Context(), keyedTopic))
			r.fillKeyed(events, 300)
			r.providePartitions()
			r.fillPartitions(events, 300)
			var sum rates
			for b.Loop() {
				sum.baseline += r.handle(keyedTopic, events, concurrency, open(b, r))
				session, leave := r.join(fmt.Sprintf("%s-%d", group, r.round+1), groups.DefaultTTL)
				sum.ours += r.handleWith(partitionedTopic, events, open(b, r), consumer.Options{
					Concurrency: concurrency, Order: consumer.Partitions(numPartitions), Session: session,
				})
				leave()
				sum.events += events
			}
			sum.report(b, "unpartitioned")
		})
	}
}

// providePartitions makes a stream for the partitions of partitionedTopic.
func (r *rig) providePartitions() {
	r.b.Helper()
	b, err := natsbus.New(r.nc, &natsbus.Options{Provision: &natsbus.Provision{Subjects: []string{partitionedTopic + ".>"}}})
	must(r.b, err)
	r.b.Cleanup(b.Close)
	must(r.b, b.Provision(r.b.Context(), partitionedTopic))
}

// fillPartitions publishes so many events, whose keys take turns.
func (r *rig) fillPartitions(events, keys int) {
	r.b.Helper()
	es := make([]bus.Event, events)
	for i := range es {
		es[i] = r.partitionedEvent(i, keys)
	}
	_, err := bus.Partitioned(r.bus, numPartitions).Publish(r.b.Context(), es...)
	must(r.b, err)
}

func (r *rig) partitionedEvent(i, keys int) bus.Event {
	e := r.event(i)
	e.Topic, e.Key = partitionedTopic, fmt.Sprintf("customer-%d", i%keys)
	return e
}

// keyValue is an empty dedupe store on the server.
func (r *rig) keyValue() dedupe.Store {
	r.b.Helper()
	r.buckets++
	store, err := kvdedupe.New(r.b.Context(), r.nc, &kvdedupe.Options{Bucket: fmt.Sprintf("marks-%d", r.buckets)})
	must(r.b, err)
	return store
}

// join makes this process another member of a group, on a connection of its own. leave ends that.
func (r *rig) join(name string, ttl time.Duration) (s *groups.Session, leave func()) {
	r.b.Helper()
	nc, err := nats.Connect(r.nc.ConnectedUrl())
	must(r.b, err)
	return r.joinOn(nc, name, ttl)
}

// joinOn is join on a connection, which leave closes.
func (r *rig) joinOn(nc *nats.Conn, name string, ttl time.Duration) (s *groups.Session, leave func()) {
	r.b.Helper()
	store, err := natsgroup.New(r.b.Context(), nc, &natsgroup.Options{MemberTTL: ttl})
	must(r.b, err)
	s, err = groups.Join(r.b.Context(), store, name, nil)
	must(r.b, err)
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan struct{})
	go func() {
		defer close(left)
		_ = s.Run(ctx)
	}()
	return s, func() {
		cancel()
		<-left
		nc.Close()
	}
}

// arrivals notes when the first event of each partition was handled after a moment.
type arrivals struct {
	mu    sync.Mutex
	last  map[int]time.Time     // the last event of each partition
	owner map[int]int           // and who handled it
	gaps  map[int]time.Duration // between the last event at the former owner and the first at the next
}

func newArrivals() *arrivals {
	return &arrivals{last: make(map[int]time.Time), owner: make(map[int]int), gaps: make(map[int]time.Duration)}
}

// handler returns the handler of a process.
func (a *arrivals) handler(process int) consumer.Handler {
	return func(ctx context.Context, _ bus.Event) error {
		p, _ := consumer.PartitionFrom(ctx)
		a.mu.Lock()
		defer a.mu.Unlock()
		now := time.Now()
		if last, ok := a.last[p.Number]; ok && a.owner[p.Number] != process {
			a.gaps[p.Number] = now.Sub(last)
		}
		a.last[p.Number], a.owner[p.Number] = now, process
		return nil
	}
}

// moved returns the gaps of the partitions that have moved, the shortest first.
func (a *arrivals) moved() (gaps []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, gap := range a.gaps {
		gaps = append(gaps, gap)
	}
	slices.Sort(gaps)
	return gaps
}

// awaitMoves waits until so many partitions have moved.
func (a *arrivals) awaitMoves(b *testing.B, partitions int) []time.Duration {
	b.Helper()
	for range 1200 {
		if gaps := a.moved(); len(gaps) >= partitions {
			return gaps
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Fatalf("%d of %d partitions have moved after a minute", len(a.moved()), partitions)
	return nil
}

// owners is processes of a group that consume partitionedTopic under load.
type owners struct {
	b        *testing.B
	r        *rig
	store    dedupe.Store
	name     string
	ttl      time.Duration
	arrivals *arrivals
	started  int
}

// owner is one of them.
type owner struct {
	conn  *nats.Conn
	sub   *consumer.Subscription
	leave func()
}

// start starts a process on connections of its own.
func (w *owners) start() *owner {
	w.b.Helper()
	nc, err := nats.Connect(w.r.nc.ConnectedUrl())
	must(w.b, err)
	session, leave := w.r.joinOn(nc, w.name, w.ttl)
	b, err := natsbus.New(nc, nil)
	must(w.b, err)
	o := &owner{conn: nc, leave: func() { leave(); b.Close() }}
	o.sub, err = consumer.SubscribeExactlyOnce(w.b.Context(), b, partitionedTopic, w.name, w.store, w.arrivals.handler(w.started), &consumer.Options{
		DeadLetter: "dead." + group, Order: consumer.Partitions(numPartitions), Session: session, Lease: w.ttl,
	})
	must(w.b, err)
	w.started++
	return o
}

// load publishes an event of each partition, more or less, each 16 ms.
func (w *owners) load() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	publisher := bus.Partitioned(w.r.bus, numPartitions)
	go func() {
		defer close(done)
		ticker := time.NewTicker(16 * time.Millisecond)
		defer ticker.Stop()
		for n := 0; ctx.Err() == nil; <-ticker.C {
			es := make([]bus.Event, numPartitions)
			for i := range es {
				es[i] = w.r.partitionedEvent(n, 300)
				n++
			}
			_, _ = publisher.Publish(ctx, es...) // what is not there is not waited for
		}
	}()
	return func() { cancel(); <-done }
}

// overPartitions runs a benchmark of moves, and reports the time that f returns for each partition
// that has moved.
func overPartitions(b *testing.B, ttl time.Duration, f func(w *owners) []time.Duration) {
	var all []time.Duration
	for b.Loop() {
		r := newRig(b)
		r.providePartitions()
		store, err := memdedupe.New(nil)
		must(b, err)
		w := &owners{b: b, r: r, store: store, name: group, ttl: ttl, arrivals: newArrivals()}
		stop := w.load()
		all = append(all, f(w)...)
		stop()
	}
	slices.Sort(all)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(all[len(all)/2].Seconds()*1000, "ms-median")
	b.ReportMetric(all[len(all)-1].Seconds()*1000, "ms-max")
}

// BenchmarkPlannedMove: a process joins, and half of the partitions move to it under load. Measured
// is the time between the last event of a partition at the former owner and the first at the next.
// Wanted is a median below 300 ms.
func BenchmarkPlannedMove(b *testing.B) {
	overPartitions(b, groups.DefaultTTL, func(w *owners) []time.Duration {
		first := w.start()
		defer first.leave()
		w.r.awaitPartitions(first.sub, numPartitions)
		second := w.start()
		defer second.leave()
		gaps := w.arrivals.awaitMoves(b, numPartitions/2)
		must(b, second.sub.Drain(context.Background()))
		must(b, first.sub.Drain(context.Background()))
		return gaps
	})
}

// BenchmarkOwnerCut: the connections of an owner of half of the partitions are cut, as by SIGKILL.
// Measured is the time until the first event of each partition is handled elsewhere. Wanted is at
// most the TTL of its row, 1 s here, and another second.
func BenchmarkOwnerCut(b *testing.B) {
	overPartitions(b, time.Second, func(w *owners) []time.Duration {
		first := w.start()
		defer first.leave()
		w.r.awaitPartitions(first.sub, numPartitions)
		second := w.start()
		w.arrivals.awaitMoves(b, numPartitions/2)
		w.arrivals.forgetMoves()
		second.conn.Close()
		second.leave()
		gaps := w.arrivals.awaitMoves(b, numPartitions/2)
		must(b, first.sub.Drain(context.Background()))
		return gaps
	})
}

// forgetMoves forgets the moves until now.
func (a *arrivals) forgetMoves() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.gaps)
}
