package chaos

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// standstill is a time in which a process, or a server, stood still.
type standstill struct {
	pid      int // 0: all processes are hit
	from, to time.Time
}

// standstills are those that were noticed. Safe for concurrent use.
type standstills struct {
	mu  sync.Mutex
	all []standstill
}

// add notes one that has just ended.
func (s *standstills) add(pid int, length time.Duration, to time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, standstill{pid: pid, from: to.Add(-length), to: to})
}

// hit reports whether a process, or all, stood still in a time.
func (s *standstills) hit(pid int, from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, still := range s.all {
		if (still.pid == 0 || still.pid == pid) && !still.from.After(to) && !still.to.Before(from) {
			return true
		}
	}
	return false
}

// hitAny reports whether any process stood still in a time.
func (s *standstills) hitAny(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, still := range s.all {
		if !still.from.After(to) && !still.to.Before(from) {
			return true
		}
	}
	return false
}

// count counts those in a time.
func (s *standstills) count(from, to time.Time) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, still := range s.all {
		if !still.from.After(to) && !still.to.Before(from) {
			n++
		}
	}
	return n
}

// probeInterval is how often a server is asked for nothing.
const probeInterval = 100 * time.Millisecond

// probeServers notes when a server takes a large part of a lease to answer, though nobody has put a
// fault before it. It ends when the function that it returns is called, which waits for it.
func (s *standstills) probeServers(ctx context.Context, lease time.Duration, nc *nats.Conn, client *mongo.Client) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var probing sync.WaitGroup
	probing.Go(func() {
		s.probe(ctx, lease, func() error { _, err := nc.RTT(); return err })
	})
	if client != nil {
		probing.Go(func() { s.probe(ctx, lease, func() error { return client.Ping(ctx, nil) }) })
	}
	return func() { cancel(); probing.Wait() }
}

func (s *standstills) probe(ctx context.Context, lease time.Duration, call func() error) {
	ticks := time.NewTicker(probeInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
		asked := time.Now()
		_ = call() // what fails at once is no standstill
		if took := time.Since(asked); took > lease/standstillPart {
			s.add(0, took, time.Now())
		}
	}
}
