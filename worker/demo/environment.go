package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/mongodoc"
	"github.com/onceish/onceish/worker"
)

// demoEnvironment is a process's connections to the bus and to the store of a demo.
type demoEnvironment struct {
	*worker.Connections

	a          *workerAssignment
	store      dedupe.Store
	collection *mongo.Collection // nil unless it is the store
	documents  *effectDocuments  // nil unless effects are atomic
	closers    []func() error
}

// openEnvironment connects, and makes the bucket or the collection if it is not there.
func openEnvironment(ctx context.Context, a *workerAssignment, log *slog.Logger) (*demoEnvironment, error) {
	c, err := worker.Connect(ctx, &worker.ConnectOptions{NATS: a.NATS, Name: a.Name, Lease: leaseLength, Logger: log})
	if err != nil {
		return nil, err
	}
	s := &demoEnvironment{Connections: c, a: a, closers: []func() error{c.Close}}
	if err := s.openStore(ctx, log); err != nil {
		return nil, errors.Join(err, s.closeAll())
	}
	return s, nil
}

func (s *demoEnvironment) openStore(ctx context.Context, log *slog.Logger) error {
	switch s.a.Store {
	case StoreMemory:
		store, err := memdedupe.New(nil)
		s.store = store
		return err
	case StoreMongo:
		client, collection, err := connectMongo(ctx, s.a.Mongo, s.a.Name)
		if err != nil {
			return err
		}
		s.closers = append(s.closers, func() error { return disconnectClient(client) })
		s.collection = collection
		store, err := mongodedupe.New(ctx, collection, nil)
		if err != nil {
			return err
		}
		s.store = store
		if s.a.Atomic {
			updater, err := mongodoc.New(store, nil)
			if err != nil {
				return err
			}
			s.documents = &effectDocuments{updater: updater, coll: collection.Database().Collection(s.a.effectsName())}
		}
		return nil
	}
	store, err := kvdedupe.New(ctx, s.NATS(), &kvdedupe.Options{Bucket: s.a.Name, Logger: log})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, store.Close)
	s.store = store
	return nil
}

// effectFunc is how effects are made; nil: in the journal.
func (s *demoEnvironment) effectFunc() effectFunc {
	if s.documents == nil {
		return nil
	}
	return s.documents.addEffect
}

func (s *demoEnvironment) closeAll() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// makeResources makes the stream, for events and for dead letters.
func (s *demoEnvironment) makeResources(ctx context.Context, js jetstream.JetStream) error {
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: s.a.Name, Description: "worker demo; may be deleted once that has ended", Storage: jetstream.FileStorage,
		Subjects: []string{s.a.topicName(), s.a.deadLetters()},
	})
	if err != nil {
		return fmt.Errorf("make the stream %s at %s: %w: does this server have JetStream, and may this user make streams?", s.a.Name, s.BusName(), err)
	}
	return nil
}

// removeResources removes what was made, also after ctx has ended. What was not made is no error.
func (s *demoEnvironment) removeResources(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	var errs []error
	if err := js.DeleteStream(ctx, s.a.Name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		errs = append(errs, fmt.Errorf("remove the stream %s: %w", s.a.Name, err))
	}
	switch s.a.Store {
	case StoreKV:
		if err := js.DeleteKeyValue(ctx, s.a.Name); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
			errs = append(errs, fmt.Errorf("remove the bucket %s: %w", s.a.Name, err))
		}
	case StoreMongo:
		if err := s.collection.Drop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("remove the collection %s: %w", s.a.Name, err))
		}
		if s.documents != nil {
			errs = append(errs, s.documents.dropCollection(ctx))
		}
	}
	return errors.Join(errs...)
}
