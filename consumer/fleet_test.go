package consumer_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/group"
	memgroup "github.com/onceish/onceish/group/memory"
)

// memberTTL is how long the row of a process of a fleet lives.
const memberTTL = 3 * time.Second

// fleet is the processes of a group that consume one topic, in a bubble with its own time.
type fleet struct {
	t       *testing.T
	bus     *membus.Bus
	store   *memdedupe.Store
	groups  *memgroup.Store
	order   consumer.Order
	options consumer.Options // of every process
	handle  consumer.Handler // run before the effect is noted

	mu        sync.Mutex
	published int
	effects   []fleetEffect
	running   map[string]string // by key: which process runs an event of it
	overlaps  []string
	processes []*fleetProcess
}

// fleetEffect is one run that has succeeded.
type fleetEffect struct {
	id, key string
	number  int // in the order of publishing
	process string
	part    consumer.Partition
	at      time.Time
}

// inFleet runs a test in a bubble.
func inFleet(t *testing.T, order consumer.Order, f func(w *fleet)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, err := membus.New(nil)
		must(t, err)
		s, err := memdedupe.New(nil)
		must(t, err)
		g, err := memgroup.New(&memgroup.Options{TTL: memberTTL})
		must(t, err)
		w := &fleet{
			t: t, bus: b, store: s, groups: g, order: order, running: make(map[string]string),
			handle: func(context.Context, bus.Event) error { time.Sleep(5 * time.Millisecond); return nil },
		}
		f(w)
	})
}

// publish publishes events of so many keys, in turns, and returns their ids.
func (w *fleet) publish(events, keys int) (ids []string) {
	w.t.Helper()
	w.mu.Lock()
	first := w.published
	w.published += events
	w.mu.Unlock()
	for i := first; i < first+events; i++ {
		ids = append(ids, w.publishKey(fmt.Sprint("k", i%keys), i))
	}
	return ids
}

func (w *fleet) publishKey(key string, number int) (id string) {
	w.t.Helper()
	id = fmt.Sprint(number)
	_, err := w.publisher().Publish(w.t.Context(), bus.Event{ID: id, Key: key, Topic: "order.placed", Data: []byte(id)})
	must(w.t, err)
	return id
}

func (w *fleet) publisher() bus.Publisher {
	if n := w.order.NumPartitions(); n > 0 {
		return bus.Partitioned(w.bus, n)
	}
	return w.bus
}

// fleetProcess is one process of a fleet.
type fleetProcess struct {
	fleet   *fleet
	name    string
	session *group.Session
	sub     *consumer.Subscription
	err     error
	dead    atomic.Bool // it reaches nothing any more
	cut     atomic.Bool // it does not reach the store of the group
	leave   context.CancelFunc
	left    chan struct{}
	mute    sync.RWMutex // held while the process is frozen
}

// start starts a process. It ends with the test, if the test has not ended it.
func (w *fleet) start(name string, change func(*consumer.Options)) *fleetProcess {
	w.t.Helper()
	p := w.join(name)
	must(w.t, p.subscribe(change))
	return p
}

func (w *fleet) join(name string) *fleetProcess {
	w.t.Helper()
	p := &fleetProcess{fleet: w, name: name, left: make(chan struct{})}
	var err error
	p.session, err = group.Join(w.t.Context(), &mortalGroups{w.groups, p}, "billing", &group.Options{Logger: slog.New(slog.DiscardHandler)})
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	p.leave = cancel
	go func() {
		defer close(p.left)
		_ = p.session.Run(ctx)
	}()
	w.mu.Lock()
	w.processes = append(w.processes, p)
	w.mu.Unlock()
	w.t.Cleanup(p.end)
	return p
}

// subscribe starts the subscription of a process.
func (p *fleetProcess) subscribe(change func(*consumer.Options)) (err error) {
	w := p.fleet
	o := w.options
	o.Order, o.Session = w.order, p.session
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if change != nil {
		change(&o)
	}
	p.sub, err = consumer.SubscribeExactlyOnce(w.t.Context(), &mortalBus{w.bus, p}, "order.placed", "billing", &mortalStore{w.store, p}, p.run, &o)
	return err
}

// end drains the process, and has it leave.
func (p *fleetProcess) end() {
	if p.sub != nil {
		p.err = p.sub.Drain(context.Background())
	}
	p.leave()
	<-p.left
}

// kill ends the process as SIGKILL does, to everybody else.
func (p *fleetProcess) kill() { p.dead.Store(true) }

// run is the handler of every process.
func (p *fleetProcess) run(ctx context.Context, e bus.Event) error {
	w := p.fleet
	part, _ := consumer.PartitionFrom(ctx)
	if e.Topic != "order.placed" || consumer.AttemptFrom(ctx).Key.Topic != "order.placed" {
		w.t.Errorf("event of topic %q, key %v", e.Topic, consumer.AttemptFrom(ctx).Key)
	}
	w.enter(p, e)
	err := w.handle(ctx, e)
	w.leave(p, e)
	if p.dead.Load() || err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	number := 0
	_, _ = fmt.Sscan(string(e.Data), &number)
	w.effects = append(w.effects, fleetEffect{id: e.ID, key: e.Key, number: number, process: p.name, part: part, at: time.Now()})
	return nil
}

// enter notes two runs of a key at once.
func (w *fleet) enter(p *fleetProcess, e bus.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if other := w.running[e.Key]; e.Key != "" && other != "" {
		w.overlaps = append(w.overlaps, fmt.Sprintf("event %s of key %s at %s beside %s", e.ID, e.Key, p.name, other))
	}
	w.running[e.Key] = p.name + "/" + e.ID
}

func (w *fleet) leave(p *fleetProcess, e bus.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running[e.Key] == p.name+"/"+e.ID {
		delete(w.running, e.Key)
	}
}

// await waits until so many events have had their effect.
func (w *fleet) await(events int) {
	w.t.Helper()
	for range 3000 {
		if len(w.firstEffects()) >= events {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("%d of %d events had an effect after 5 min; %s", len(w.firstEffects()), events, w.describe())
}

// describe says what each process does, for a test that fails.
func (w *fleet) describe() (text string) {
	for _, p := range w.processes {
		if p.sub != nil {
			text += fmt.Sprintf("\n%s: partitions %v, %+v, healthy: %v", p.name, p.sub.Partitions(), p.sub.Stats(), p.sub.Healthy())
		}
	}
	return text
}

// firstEffects returns the first effect of each event, in the order in which they were made.
func (w *fleet) firstEffects() (first []fleetEffect) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := make(map[string]bool)
	for _, e := range w.effects {
		if !seen[e.id] {
			seen[e.id] = true
			first = append(first, e)
		}
	}
	return first
}

// checkOrder fails the test if first effects of a key were not in the order of publishing, or two
// of its events ran at once, or more effects than may be were repeated.
func (w *fleet) checkOrder(mayRepeat int) {
	w.t.Helper()
	last := make(map[string]fleetEffect)
	first := w.firstEffects()
	for _, e := range first {
		if before, ok := last[e.key]; ok && before.number > e.number && e.key != "" {
			w.t.Errorf("key %s: event %d (%s) had its effect before %d (%s)", e.key, before.number, before.process, e.number, e.process)
		}
		last[e.key] = e
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.overlaps) > 0 {
		w.t.Errorf("%d runs beside others of their key: %s", len(w.overlaps), w.overlaps[0])
	}
	if repeated := len(w.effects) - len(first); repeated > mayRepeat {
		w.t.Errorf("%d effects were repeated, %d may be", repeated, mayRepeat)
	}
}

// awaitSpread waits until the live processes own all partitions, each at least so many.
func (w *fleet) awaitSpread(least int, ps ...*fleetProcess) {
	w.t.Helper()
	n := max(1, w.order.NumPartitions())
	for range 600 {
		total, ok := 0, true
		for _, p := range ps {
			owned := len(p.sub.Partitions())
			total += owned
			ok = ok && owned >= least
		}
		if ok && total == n {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("%d partitions are not spread over %d processes after a minute:%s", n, len(ps), w.describe())
}

func numbersOf(es []fleetEffect) (numbers []int) {
	for _, e := range es {
		numbers = append(numbers, e.number)
	}
	slices.Sort(numbers)
	return numbers
}
