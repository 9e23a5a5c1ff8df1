package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/worker"
)

// lease is for how long the work of a killed process waits for another one. Short, so that one can watch.
const lease = 5 * time.Second

// shop is what a process works with.
type shop struct {
	*worker.Worker

	db *mongo.Database
	// once changes documents once.
	once    *mongodedupe.Store
	closers []func() error
}

// open connects to both servers, and gives the worker a relay for the events of its changes.
func open(ctx context.Context, role string, getenv func(string) string, o *worker.Options) (_ *shop, err error) {
	s := &shop{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	c, err := worker.Connect(ctx, &worker.ConnectOptions{NATS: getenv("NATS_URL"), Provision: true, Name: "orders " + role, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, c.Close)
	if getenv("MONGODB_URI") == "" {
		return nil, fmt.Errorf("%w: MONGODB_URI is not set: in a checkout, scripts/mongo brings a server up and prints its URI", worker.ErrUsage)
	}
	client, err := mongo.Connect(options.Client().SetServerSelectionTimeout(5 * time.Second).ApplyURI(getenv("MONGODB_URI")))
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() error { return client.Disconnect(context.Background()) }) // nothing uses it any more
	s.db = client.Database(cmp.Or(getenv("DATABASE"), "orders"))
	relay, err := newRelay(ctx, s.db, c.Bus(), o.Logger)
	if err != nil {
		return nil, err
	}
	if s.once, err = mongodedupe.New(ctx, s.db.Collection("dedupe"), &mongodedupe.Options{Waiting: relay.wake}); err != nil {
		return nil, err
	}
	if s.Worker, err = worker.New(role, worker.Over(c.Bus(), s.once), o); err != nil {
		return nil, err
	}
	relay.addTo(s.Worker)
	return s, nil
}

// stream makes the stream of what the process publishes, if it is not there. In production somebody else does.
func (s *shop) stream(ctx context.Context, topic string) error {
	_, err := s.Bus().Topic(ctx, topic, "", bus.Start{})
	return err
}

// close closes what was opened, the last first.
func (s *shop) close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}
