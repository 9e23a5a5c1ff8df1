package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	natsgroup "github.com/onceish/onceish/group/nats"
)

// stopTimeout is how long the server may take to end.
const stopTimeout = 10 * time.Second

// lab is what a run takes place in: a directory, servers, and connections to them that no fault
// hits.
type lab struct {
	dir         string
	keep        bool // the directory, when it is closed
	log         *os.File
	server      *testbed.Server // nil: it is not ours
	bed         testbed.Bed
	connections *testbed.Connections
	js          jetstream.JetStream
	group       string
	targets     []target
	deployed    *deployed // nil: the workers are chaos's own
	made        []string  // streams that were made for deployed
}

// openLab makes everything but the workers.
func openLab(ctx context.Context, o *Options) (_ *lab, err error) {
	l := &lab{}
	if l.dir, err = os.MkdirTemp(o.parent, "onceish-chaos-"); err != nil {
		return nil, err
	}
	if err := l.open(ctx, o); err != nil {
		return nil, errors.Join(err, l.logTail(), l.close(ctx))
	}
	return l, nil
}

func (l *lab) open(ctx context.Context, o *Options) (err error) {
	for _, name := range []string{l.journalName(), l.logName()} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			return err
		}
	}
	if l.log, err = os.OpenFile(l.logName(), os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	l.bed = testbed.Bed{Name: testbed.FreshName("onceish-chaos"), NATS: o.NATS, Store: o.Store, Mongo: o.Mongo}
	if o.NATS == "" {
		if l.server, err = testbed.StartServer(ctx, o.Server, filepath.Join(l.dir, "nats"), l.log); err != nil {
			return err
		}
		l.bed.NATS = l.server.URL()
	}
	if o.deployed != nil {
		return l.openDeployed(ctx, o)
	}
	l.group = l.bed.Name
	l.targets = l.bedTargets(o)
	l.connections, err = l.bed.Connect(ctx, o.Lease, slog.New(slog.NewTextHandler(l.log, nil)).With("process", "chaos"))
	if err != nil {
		return err
	}
	if l.js, err = jetstream.New(l.connections.NATS()); err != nil {
		return err
	}
	if o.sharesTopic() { // before the workers make the bucket
		if _, err := natsgroup.New(ctx, l.connections.NATS(), &natsgroup.Options{MemberTTL: o.memberTTL(), Logger: slog.New(slog.NewTextHandler(l.log, nil))}); err != nil {
			return err
		}
	}
	return l.connections.MakeStream(ctx, l.js, "worker chaos; may be deleted once that has ended")
}

// bedTargets are the topic of the bed, or its partitions.
func (l *lab) bedTargets(o *Options) (targets []target) {
	n := o.Order.NumPartitions()
	for number := range max(n, 1) {
		topic := bus.Partition{Topic: l.bed.Topic(), Of: n, Number: number}.Name()
		targets = append(targets, target{
			topic: topic, stream: l.bed.Name, consumer: natsbus.ConsumerName(l.bed.Name, topic), deadLetter: l.bed.DeadLetters(),
		})
	}
	return targets
}

func (l *lab) journalName() string { return filepath.Join(l.dir, "journal") }

func (l *lab) logName() string { return filepath.Join(l.dir, "log") }

// makeSlots makes the places of the workers. Their connections go through proxies if a fault may
// hit them.
func (l *lab) makeSlots(ctx context.Context, o *Options) (slots []*workerSlot, err error) {
	mongo := ""
	if slices.Contains(o.Faults, KindMongo) {
		if mongo, err = mongoServer(ctx, l.bed.Mongo, l.connections.Mongo()); err != nil {
			return nil, err
		}
	}
	if slices.Contains(o.Faults, KindNATS) {
		if err := checkNATSRoute(l.connections.NATS()); err != nil {
			return nil, err
		}
	}
	for range o.Processes {
		s := &workerSlot{assignment: &workAssignment{Bed: l.bed, Journal: l.journalName(), Seed: o.Seed, Lease: o.Lease, Order: o.Order.String(), Deployment: o.deploymentAssignment()}}
		if o.sharesTopic() && len(slots)%2 == 1 { // such as a StatefulSet's; others have none
			s.assignment.Member = fmt.Sprintf("worker-%d", len(slots)+1)
		}
		slots = append(slots, s)
		if err := s.addRoutes(o, mongo); err != nil {
			closeRoutes(slots)
			return nil, err
		}
	}
	return slots, nil
}

func (s *workerSlot) addRoutes(o *Options, mongo string) (err error) {
	if slices.Contains(o.Faults, KindNATS) {
		if s.nats, err = newNATSRoute(s.assignment.NATS); err != nil {
			return err
		}
		s.assignment.NATS, s.assignment.Proxied = s.nats.url, true
	}
	if mongo != "" {
		if s.mongo, err = newMongoRoute(s.assignment.Mongo, mongo); err != nil {
			return err
		}
		s.assignment.Mongo = s.mongo.url
	}
	return nil
}

// close removes what was made, but for the directory if it is to be kept. Failure is
// ErrLeft.
func (l *lab) close(ctx context.Context) error {
	var errs []error
	interrupted := ctx.Err() != nil
	if l.connections != nil {
		errs = append(errs, l.removeMade(ctx), l.connections.Close())
	}
	if l.server != nil {
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), stopTimeout, errors.New("the server does not end"))
		defer cancel()
		if err := l.server.Stop(ctx); !interrupted { // else it may be one that was killed
			errs = append(errs, err)
		}
	}
	if l.log != nil {
		errs = append(errs, l.log.Close())
	}
	if !l.keep {
		errs = append(errs, os.RemoveAll(l.dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrLeft, err)
	}
	return nil
}

// removeMade removes what was made on servers; what is on a server of ours goes with its data.
func (l *lab) removeMade(ctx context.Context) error {
	switch {
	case l.js == nil:
		return nil
	case l.deployed != nil:
		return l.removeDeployed(ctx)
	case l.server == nil:
		return l.connections.Remove(ctx, l.js)
	case l.bed.Store == testbed.StoreMongo:
		return l.connections.RemoveMarks(ctx, l.js)
	}
	return nil
}

// logTail is the end of what the workers have logged.
func (l *lab) logTail() error {
	text, err := os.ReadFile(l.logName())
	if err != nil || len(text) == 0 {
		return err
	}
	const enough = 2000
	return fmt.Errorf("the processes logged at last:\n%s", text[max(0, len(text)-enough):])
}
