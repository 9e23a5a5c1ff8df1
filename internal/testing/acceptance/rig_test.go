package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// rig is a NATS server, a store, and the worker processes of one test.
type rig struct {
	t       *testing.T
	server  *natstest.Server   // nil: a cluster, or the process
	process *natstest.Process  // nil: the server, or a cluster
	url     string             // of NATS
	in      *natsbus.Provision // how streams were made; nil: as by default
	nc      *nats.Conn
	bus     *natsbus.Bus
	mongo   string // URI; empty: marks go to the key-value store
	db      string
	ledger  *ledger
}

// onStores runs a test over each durable store.
func onStores(t *testing.T, f func(r *rig)) {
	t.Helper()
	onStoresOf(t, newRig, f)
}

// onStoresOf runs a test over each durable store, on rigs of its own make.
func onStoresOf(t *testing.T, makeRig func(t *testing.T) *rig, f func(r *rig)) {
	t.Helper()
	for _, store := range []string{"kv", "mongo"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			r := makeRig(t)
			if store == "mongo" {
				r.mongo, r.db = mongotest.URI(t), mongotest.Database(t).Name()
			}
			f(r)
		})
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	server := natstest.Start(t, nil)
	r := rigOn(t, server.URL(), nil)
	r.server = server
	return r
}

// newRigInProcess is a rig whose server can be killed.
func newRigInProcess(t *testing.T) *rig {
	t.Helper()
	process := natstest.StartProcess(t)
	r := rigOn(t, process.URL(), nil)
	r.process = process
	return r
}

// rigOn connects to what is there, and makes the streams as told; nil: as by default.
func rigOn(t *testing.T, url string, streams *natsbus.Provision, o ...nats.Option) *rig {
	t.Helper()
	r := &rig{t: t, url: url, in: streams, ledger: newLedger()}
	r.nc = natstest.Connect(t, url, o...)
	var err error
	r.bus, err = natsbus.New(r.nc, &natsbus.Options{Provision: streams, Logger: slog.New(slog.DiscardHandler), APITimeout: patience / 8})
	must(t, err)
	t.Cleanup(r.bus.Close)
	must(t, r.bus.Provision(t.Context(), "order.placed"))
	must(t, r.bus.Provision(t.Context(), "dead.billing"))
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// event does the steps when it is handled.
func event(id string, steps ...string) bus.Event {
	data, err := json.Marshal(task{Steps: steps})
	if err != nil {
		panic(err)
	}
	return bus.Event{ID: id, Topic: "order.placed", Data: data}
}

// publish repeats what is not confirmed in time, which the server recognises by its message ids.
func (r *rig) publish(es ...bus.Event) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; {
		_, err := r.bus.Publish(r.t.Context(), es...)
		if !errors.Is(err, nats.ErrTimeout) || time.Now().After(end) {
			must(r.t, err)
			return
		}
	}
}

// process is a worker process.
type process struct {
	*exec.Cmd
	t    *testing.T
	name string
	gone chan struct{}
}

// start starts a worker process, and returns once its subscription runs, or it is gone.
func (r *rig) start(name string, s script) *process {
	r.t.Helper()
	s.Name, s.NATS, s.Mongo, s.Database = name, r.url, r.mongo, r.db
	s.Topic, s.Group = "order.placed", "billing"
	return r.spawn(name, workerEnv, s)
}

// spawn starts this program again, with a script for it in a variable.
func (r *rig) spawn(name, variable string, script any) *process {
	r.t.Helper()
	text, err := json.Marshal(script)
	must(r.t, err)
	read, write, err := os.Pipe()
	must(r.t, err)
	p := &process{Cmd: exec.Command(os.Args[0]), t: r.t, name: name, gone: make(chan struct{})}
	p.Env = append(os.Environ(), variable+"="+string(text))
	p.Stderr, p.ExtraFiles = os.Stderr, []*os.File{write}
	must(r.t, p.Start())
	must(r.t, write.Close())
	go func() {
		defer close(p.gone)
		r.ledger.read(read) // until the process, the only writer, is gone
		_ = read.Close()
		_ = p.Wait()
		r.ledger.add(entry{"gone", name, ""})
	}()
	r.t.Cleanup(p.kill)
	return p
}

// run starts a worker process that is not told to die, and waits until it runs.
func (r *rig) run(name string, concurrency int) *process {
	r.t.Helper()
	p := r.start(name, script{Concurrency: concurrency})
	r.ledger.await(r.t, 1, "ready", name, "")
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	must(p.t, p.Process.Signal(s))
}

func (p *process) kill() {
	_ = p.Process.Kill()
	<-p.gone
}

// stop ends the process in order.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.awaitGone()
	if code := p.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("worker %s ended with %d", p.name, code)
	}
}

func (p *process) awaitGone() {
	p.t.Helper()
	select {
	case <-p.gone:
	case <-time.After(patience):
		p.t.Fatalf("worker %s is still there after %v", p.name, patience)
	}
}

// settled waits until the bus has nothing left for the group: nothing undelivered,
// nothing unsettled.
func (r *rig) settled() {
	r.t.Helper()
	r.settledFor("billing", "order.placed")
}

func (r *rig) settledFor(group, topic string) {
	r.t.Helper()
	js, err := jetstream.New(r.nc)
	must(r.t, err)
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	var state jetstream.ConsumerInfo
	var last uint64
	if !watch(ctx, func() bool {
		if last, err = r.last(ctx, js, topic); err == nil {
			err = r.consumerState(ctx, js, group, topic, &state)
		}
		// The server counts what is published as pending a little later than it confirms it.
		return err == nil && state.Delivered.Stream >= last && state.NumPending == 0 && state.NumAckPending == 0
	}) {
		r.t.Fatalf("the group has not settled everything up to %d after %v: %d events undelivered, %d unsettled, delivered %+v, floor %+v: %v",
			last, patience, state.NumPending, state.NumAckPending, state.Delivered, state.AckFloor, err)
	}
}

// last is the sequence of the newest event on a topic; 0 if there is none.
func (r *rig) last(ctx context.Context, js jetstream.JetStream, topic string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	stream, err := js.Stream(ctx, r.stream(topic))
	if err != nil {
		return 0, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, topic)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return m.Sequence, nil
}

func (r *rig) consumerState(ctx context.Context, js jetstream.JetStream, group, topic string, state *jetstream.ConsumerInfo) error {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	c, err := js.Consumer(ctx, r.stream(topic), natsbus.ConsumerName(group, topic))
	if err == nil {
		*state = *c.CachedInfo()
	}
	return err
}

// answer is how long a server that is well takes to answer at most; one that fails does not answer.
const answer = 2 * time.Second

// stream is where a topic lies.
func (r *rig) stream(topic string) string {
	if r.in != nil && r.in.Name != "" {
		return r.in.Name
	}
	return natsbus.StreamName(topic)
}

// letters are the dead letters, by id. Each is stored once.
func (r *rig) letters() map[string]*consumer.Letter {
	r.t.Helper()
	out := make(map[string]*consumer.Letter)
	for _, e := range r.read("dead.billing") {
		l, err := consumer.ParseLetter(e)
		must(r.t, err)
		if out[l.ID] != nil {
			r.t.Errorf("letter %s is stored twice", l.ID)
		}
		out[l.ID] = l
	}
	return out
}

// read returns everything on a topic, as a new group gets it.
func (r *rig) read(topic string) (es []bus.Event) {
	r.t.Helper()
	src, err := r.bus.Subscribe(r.t.Context(), topic, "inspector"+fmt.Sprint(time.Now().UnixNano()), nil)
	must(r.t, err)
	defer func() { must(r.t, src.Close(context.Background())) }()
	for {
		ds, err := src.Fetch(r.t.Context(), 100)
		must(r.t, err)
		if len(ds) == 0 {
			return es
		}
		for _, d := range ds {
			es = append(es, d.Event)
			must(r.t, d.Ack(r.t.Context()))
		}
	}
}

// effects are how often each event had its effect, by what its id begins with.
func (r *rig) effects(prefix string) map[string]int {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	out := make(map[string]int)
	for _, e := range r.ledger.entries {
		if e.what == "effect" && strings.HasPrefix(e.id, prefix) {
			out[e.id]++
		}
	}
	return out
}
