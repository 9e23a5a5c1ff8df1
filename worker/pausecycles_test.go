package worker

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// startCount counts handlers that start, and those that are about to. It is the last gate of every
// subscription.
type startCount struct {
	pending atomic.Int64 // past the gates, and not in the handler yet
	started atomic.Int64
	running atomic.Int64

	mu      sync.Mutex
	runs    map[string]int
	retried int // runs that are not the first attempt
}

var _ flow.Gate = (*startCount)(nil)

func (s *startCount) Enter(context.Context) (func(error), error) {
	s.pending.Add(1)
	return func(err error) {
		if errors.Is(err, context.Canceled) { // it never ran
			s.pending.Add(-1)
		}
	}, nil
}

func (s *startCount) handle(ctx context.Context, e bus.Event) error {
	s.started.Add(1)
	s.running.Add(1)
	s.pending.Add(-1)
	defer s.running.Add(-1)
	s.mu.Lock()
	s.runs[e.ID]++
	if consumer.AttemptFrom(ctx).Number != 1 {
		s.retried++
	}
	s.mu.Unlock()
	time.Sleep(time.Duration(20+rand.IntN(100)) * time.Millisecond) // it works
	return nil
}

// pausedWorkers are three workers of a group on one server, each over connections of its own. Their
// marks are in one memory, which leaves the time to what is tested.
type pausedWorkers struct {
	*startCount

	t     *testing.T
	conns []*Connections
	drain []func()
}

func newPausedWorkers(t *testing.T, url string) *pausedWorkers {
	t.Helper()
	p := &pausedWorkers{startCount: &startCount{runs: make(map[string]int)}, t: t}
	store, err := memdedupe.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	for range 3 {
		c, err := Connect(t.Context(), &ConnectOptions{NATS: url, Provision: true, Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		c.store = store
		w, err := New("g", c, &Options{Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		w.Handle("t", p.handle, &consumer.Options{Concurrency: 40, Gates: []flow.Gate{p.startCount}})
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		started, ended := make(chan struct{}), make(chan error, 1)
		w.o.Started = func() { close(started) }
		go func() { ended <- w.Run(ctx) }()
		drain := sync.OnceFunc(func() {
			cancel()
			if err := errors.Join(<-ended, c.Close()); err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(drain)
		select {
		case <-started:
		case err := <-ended:
			t.Fatal(err)
		}
		p.conns, p.drain = append(p.conns, c), append(p.drain, drain)
	}
	return p
}

// cyclesFlag: a thousand take two minutes under the race detector.
var cyclesFlag = flag.Int("cycles", 150, "how often workers are paused and resumed")

// TestPausesUnderLoadHoldEverywhere: three workers with hundreds of events fetched and running are
// paused and resumed at random by each of them. After a pause that all have confirmed nothing
// starts; after the resume all goes on; in the end each event has run once, at its first attempt.
func TestPausesUnderLoadHoldEverywhere(t *testing.T) {
	t.Parallel()
	cycles := *cyclesFlag
	p := newPausedWorkers(t, natstest.Start(t, nil).URL())
	stop, published := make(chan struct{}), make(chan int, 1)
	go func() { published <- p.publishEnough(stop) }()
	var latencies []time.Duration
	began := time.Now()
	for i := range cycles {
		latencies = append(latencies, p.pauseCycle(i))
	}
	slices.Sort(latencies)
	t.Logf("%d cycles in %v; a pause took %v at the median, %v at p99; %d events started",
		cycles, time.Since(began), latencies[cycles/2], latencies[cycles*99/100], p.started.Load())
	close(stop)
	n := <-published
	p.await("all events have run", func() bool { return p.started.Load() >= int64(n) })
	for _, drain := range p.drain {
		drain()
	}
	if len(p.runs) != n || p.started.Load() != int64(n) || p.retried != 0 {
		t.Errorf("%d events were published; %d ran, %d times, %d of them not the first attempt", n, len(p.runs), p.started.Load(), p.retried)
	}
}

// publishEnough publishes so that there are always hundreds of events to run, and returns how many
// it has.
func (p *pausedWorkers) publishEnough(stop <-chan struct{}) (n int) {
	for {
		select {
		case <-stop:
			return n
		default:
		}
		if int64(n)-p.started.Load() > 500 {
			time.Sleep(time.Millisecond) // there is enough
			continue
		}
		es := make([]bus.Event, 100)
		for i := range es {
			es[i] = bus.Event{ID: fmt.Sprint(n + i), Topic: "t"}
		}
		if _, err := p.conns[0].Bus().Publish(context.WithoutCancel(p.t.Context()), es...); err != nil {
			p.t.Errorf("publish: %v", err)
			return n
		}
		n += len(es)
	}
}

// pauseCycle pauses a random scope from a random worker, checks that it holds, resumes it from
// another one, and waits for progress. It returns how long the pause took.
func (p *pausedWorkers) pauseCycle(i int) (took time.Duration) {
	p.t.Helper()
	scope := group.Request{By: "test"}
	if i%2 == 1 {
		scope.Topic = "t"
	}
	change := p.inStore
	if i%10 == 0 {
		change = p.onServer // which the command does
	}
	began := time.Now()
	result, err := change(true, scope)
	took = time.Since(began)
	if err != nil || len(result.Confirmed) != len(p.conns) {
		p.t.Fatalf("cycle %d: %d of %d workers confirmed: %v", i, len(result.Confirmed), len(p.conns), err)
	}
	pending := p.pending.Load() // these may be at the first instruction of their handlers
	before := p.started.Load()
	time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond) // the pause is a time
	if i%20 == 0 {
		p.await("what runs has ended", func() bool { return p.running.Load() == 0 })
	}
	if n := p.started.Load() - before; n > pending {
		p.t.Fatalf("cycle %d: %d handlers started after all had confirmed, and %d were about to", i, n, pending)
	}
	before = p.started.Load()
	if _, err := change(false, scope); err != nil {
		p.t.Fatalf("cycle %d: resume: %v", i, err)
	}
	p.await("handlers start again", func() bool { return p.started.Load() > before })
	return took
}

func (p *pausedWorkers) anyOf() *Connections { return p.conns[rand.IntN(len(p.conns))] }

func (p *pausedWorkers) inStore(pause bool, r group.Request) (group.Result, error) {
	store, err := p.anyOf().GroupStore(p.t.Context())
	if err != nil {
		return group.Result{}, err
	}
	if pause {
		return group.Pause(p.t.Context(), store, "g", r)
	}
	return group.Resume(p.t.Context(), store, "g", r)
}

func (p *pausedWorkers) onServer(pause bool, r group.Request) (group.Result, error) {
	change := p.anyOf().ResumeGroup
	if pause {
		change = p.anyOf().PauseGroup
	}
	result, err := change(p.t.Context(), "g", r)
	return result.Result, err
}

// await polls for what nobody tells.
func (p *pausedWorkers) await(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("it has not come to this: %s", what)
		}
	}
}
