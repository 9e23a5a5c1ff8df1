package main

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/mongodoc"
	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker"
)

// lease is for how long the work of a killed process waits for another one. Short, so that
// one can watch.
const lease = 5 * time.Second

// shop is what a process works with.
type shop struct {
	*worker.Worker

	db *mongo.Database
	// once changes documents once.
	once *mongodoc.Updater
}

// open gives the worker a drainer, for the events of its changes. Any number of processes may have
// one: an event is published once, in the order of its key, unless one of them dies on the way, and
// then under the same id.
func open(ctx context.Context, w *worker.Worker) (*shop, error) {
	once, err := w.Documents(ctx)
	if err != nil {
		return nil, err
	}
	box, err := w.Outbox(ctx, "", nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.AddDrainer(box, &outbox.Options{Lease: lease}); err != nil {
		return nil, err
	}
	return &shop{Worker: w, db: w.Database(), once: once}, nil
}

// stream makes the stream of what the process publishes, if it is not there. In production
// somebody else does.
func (s *shop) stream(ctx context.Context, topic string) error {
	_, err := s.Bus().Topic(ctx, topic, "", bus.Start{})
	return err
}
