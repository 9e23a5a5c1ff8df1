package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/mongo"

	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/cmd/worker/internal/procstat"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

// rig is what a bench stands on: directory, servers and connections of this process.
type rig struct {
	o     *Options
	bed   testbed.Bed
	dir   string
	log   *os.File
	own   *testbed.Server      // nil: the user's
	conns *testbed.Connections // nil: the bus is in memory
	js    jetstream.JetStream  // nil: likewise

	sampler      *procstat.Sampler // nil: nothing is sampled
	disconnected time.Time         // when the connection was seen to be lost; zero: it is there
}

// answerTimeout is how long a server may take to answer.
const answerTimeout = 5 * time.Second

// openRig starts a server if none is given, connects, and makes the stream.
func openRig(ctx context.Context, o *Options) (r *rig, err error) {
	r = &rig{o: o, bed: testbed.Bed{Name: testbed.FreshName("onceish-bench"), NATS: o.NATS, Store: o.Store, Mongo: o.Mongo}}
	if r.dir, err = os.MkdirTemp("", "onceish-bench-"); err != nil {
		return nil, err
	}
	if r.log, err = os.OpenFile(filepath.Join(r.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(r.dir))
	}
	if o.Bus == BusMemory {
		return r, nil
	}
	if err := r.connect(ctx); err != nil {
		return nil, errors.Join(err, r.close(ctx))
	}
	return r, nil
}

func (r *rig) connect(ctx context.Context) (err error) {
	if r.bed.NATS == "" {
		if r.own, err = testbed.StartServer(ctx, r.o.Server, filepath.Join(r.dir, "nats"), r.log); err != nil {
			return err
		}
		r.bed.NATS = r.own.URL()
	}
	if r.conns, err = r.bed.Connect(ctx, leaseLength, workLogger(r.log)); err != nil {
		return err
	}
	if r.js, err = jetstream.New(r.conns.NATS()); err != nil {
		return err
	}
	return r.conns.MakeStream(ctx, r.js, "worker bench; may be deleted once that has ended")
}

// close removes what was made, also after ctx has ended.
func (r *rig) close(ctx context.Context) error {
	var errs []error
	if r.js != nil && (r.natsAnswers() || r.o.Store == testbed.StoreMongo) {
		errs = append(errs, r.conns.Remove(ctx, r.js))
	}
	if r.conns != nil {
		errs = append(errs, r.conns.Close())
	}
	if r.own != nil {
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), answerTimeout, errors.New("the NATS server does not end"))
		defer cancel()
		errs = append(errs, r.own.Stop(ctx))
	}
	return errors.Join(append(errs, r.log.Close(), os.RemoveAll(r.dir))...)
}

// natsAnswers is false once the bench's own NATS server has ended: its data is in the directory
// that is removed.
func (r *rig) natsAnswers() bool { return r.own == nil || r.own.CheckAlive() == nil }

// logTail is the end of what was logged, by this process and by others; nil if nothing was.
func (r *rig) logTail() error {
	const enough = 2000
	text, err := os.ReadFile(r.log.Name())
	switch {
	case err != nil:
		return err
	case len(text) == 0:
		return nil
	}
	text = text[max(0, len(text)-enough):]
	return fmt.Errorf("logged at last:\n  %s", strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n  "))
}

// checkServers returns an error if a server is gone.
func (r *rig) checkServers() error {
	if r.own != nil {
		if err := r.own.CheckAlive(); err != nil {
			return fmt.Errorf("the NATS server of the bench: %w", err)
		}
	}
	switch {
	case r.conns == nil || r.conns.NATS().IsConnected():
		r.disconnected = time.Time{}
	case r.disconnected.IsZero():
		r.disconnected = time.Now()
	case time.Since(r.disconnected) > answerTimeout:
		return fmt.Errorf("the connection to NATS at %s is lost for more than %v: does the server run?", r.conns.BusName(), answerTimeout)
	}
	return nil
}

// prepare empties the stream.
func (r *rig) prepare(ctx context.Context) error {
	if r.js == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	stream, err := r.js.Stream(ctx, r.bed.Name)
	if err == nil {
		err = stream.Purge(ctx)
	}
	if err != nil {
		return fmt.Errorf("empty the stream %s: %w", r.bed.Name, err)
	}
	return nil
}

// local are the servers of a measurement as this process uses them.
func (r *rig) local(ctx context.Context, c *cell) (*servers, error) {
	s := &servers{js: r.js}
	var err error
	if r.conns != nil {
		s.bus = r.conns.Bus()
	} else {
		window := time.Duration(0)
		if c.Stage != StagePublish {
			window = -1 // copies are for the consumer
		}
		if s.bus, err = membus.New(&membus.Options{Streams: []membus.Stream{{Name: "events", Topics: []string{">"}, DuplicateWindow: window, MaxBytes: 2 * maxSize}}}); err != nil {
			return nil, err
		}
		if s.store, err = memdedupe.New(nil); err != nil {
			return nil, err
		}
	}
	switch {
	case c.Stage != StageOutbox || c.isBaseline():
	case c.Store == testbed.StoreMongo:
		s.queue, err = r.conns.Outbox(ctx, c.outboxName(), nil)
	default:
		s.queue, err = memoutbox.New(&memoutbox.Options{MaxSent: c.total()})
	}
	return s, err
}

// rows is the collection of the baseline's outbox; nil if marks are kept in memory.
func (r *rig) rows(c *cell) *mongo.Collection {
	if c.Store != testbed.StoreMongo {
		return nil
	}
	return r.conns.Database().Collection(c.outboxCollection())
}

// cleanUp removes what a measurement has made beside the stream, also after ctx has ended.
func (r *rig) cleanUp(ctx context.Context, c *cell) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	var errs []error
	if c.Stage == StageOutbox && c.Store == testbed.StoreMongo {
		for _, name := range []string{c.outboxCollection(), c.outboxCollection() + ".partitions"} {
			if err := r.conns.Database().Collection(name).Drop(ctx); err != nil {
				errs = append(errs, fmt.Errorf("remove the collection %s: %w", name, err))
			}
		}
	}
	if r.js != nil && r.natsAnswers() && (c.Stage == StageConsume || c.Stage == StageExactlyOnce) {
		if err := r.js.DeleteConsumer(ctx, c.Name, c.consumerName()); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			errs = append(errs, fmt.Errorf("remove the consumer %s: %w", c.consumerName(), err))
		}
	}
	return errors.Join(errs...)
}

// startTeam starts the workers of a measurement; nil if there are none.
func (r *rig) startTeam(ctx context.Context, c *cell, s *servers) (team, error) {
	switch {
	case c.Stage == StagePublish || c.Stage == StageOutbox && c.isBaseline():
		return nil, nil //nolint:nilnil // there is none
	case r.js == nil || c.Stage == StageOutbox && c.Store == testbed.StoreMemory:
		return startLocal(ctx, c, s, workLogger(r.log)), nil
	}
	pool := &testbed.Pool{Command: r.o.Command, Log: r.log}
	t, err := startProcesses(r.o.Processes, pool, r.dir, c)
	if err != nil {
		return nil, err
	}
	r.sampleWorkers(pool)
	return t, nil
}
