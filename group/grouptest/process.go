package grouptest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/group"
)

const topic = "order.placed"

// process is a member that starts runs of a topic all the time.
type process struct {
	link    *link
	session *group.Session
	cancel  context.CancelFunc
	ended   chan error // the result of Run
	load    sync.WaitGroup

	mu      sync.Mutex
	paused  []group.Paused
	starts  int
	holding chan struct{} // Apply waits for it; nil: it does not
	isHeld  bool          // Apply waits
	stopped bool
}

// join starts a process.
func (k *kit) join(t *testing.T) *process {
	t.Helper()
	return k.joinAs(t, "")
}

// joinAs starts a process with a name.
func (k *kit) joinAs(t *testing.T, static string) *process {
	t.Helper()
	p := &process{link: &link{store: k.Store, latency: k.latency}, ended: make(chan error, 1)}
	o := &group.Options{
		Name: static, Heartbeat: k.ttl() / 6, Apply: p.apply, Now: p.link.now, Logger: slog.New(slog.DiscardHandler),
		Describe: func() []group.Subscription { return []group.Subscription{{Topic: topic, State: "running"}} },
	}
	eventually(t, "the process joins", func() bool { // a store that is busy may need a moment
		var err error
		p.session, err = group.Join(t.Context(), p.link, name, o)
		return err == nil
	})
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { p.ended <- p.session.Run(ctx) }()
	p.load.Go(func() { p.startRuns(ctx) })
	k.processes = append(k.processes, p)
	return p
}

func (p *process) id() string { return p.session.Status().ID }

func (p *process) apply(paused []group.Paused) {
	p.mu.Lock()
	holding := p.holding
	p.isHeld = holding != nil
	p.mu.Unlock()
	if holding != nil {
		<-holding
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused, p.isHeld = paused, false
}

// appliesHeld reports whether Apply waits to be released.
func (p *process) appliesHeld() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isHeld
}

// hold makes Apply wait until it is released.
func (p *process) hold() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holding = make(chan struct{})
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		close(p.holding)
		p.holding = nil
	})
}

// startRuns starts a run each millisecond, unless that is paused.
func (p *process) startRuns(ctx context.Context) {
	for ctx.Err() == nil {
		leave, err := p.session.Enter(ctx)
		if err != nil {
			return
		}
		p.mu.Lock()
		if _, paused := group.PauseFor(p.paused, topic); !paused {
			p.starts++
		}
		p.mu.Unlock()
		leave(nil)
		time.Sleep(time.Millisecond)
	}
}

func (p *process) started() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// progresses wants the process to start runs.
func (p *process) progresses(t *testing.T) {
	t.Helper()
	before := p.started()
	eventually(t, "a run starts", func() bool { return p.started() > before })
}

// stands wants the process to start nothing for a while.
func (p *process) stands(t *testing.T) {
	t.Helper()
	before := p.started()
	time.Sleep(20 * time.Millisecond) // for what must not happen
	if n := p.started() - before; n > 0 {
		t.Errorf("%d runs started while paused", n)
	}
}

// stop ends the process in order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if p.end() != nil {
		t.Error("the session did not leave its group")
	}
}

// kill ends the process without a trace in the store.
func (p *process) kill() {
	p.link.set(cut)
	_ = p.end() // it cannot leave
}

func (p *process) end() (err error) {
	if p.stopped {
		return nil
	}
	p.stopped = true
	p.cancel()
	err = <-p.ended
	p.load.Wait()
	return err
}
