package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker"
)

// demoEnvironment is a process's connections to the bus and to the store of a demo.
type demoEnvironment struct {
	*worker.Connections

	a         *workerAssignment
	documents *effectDocuments // nil unless effects are atomic
}

// openEnvironment connects, and makes the bucket or the collection if it is not there.
func openEnvironment(ctx context.Context, a *workerAssignment, log *slog.Logger) (*demoEnvironment, error) {
	c, err := worker.Connect(ctx, &worker.ConnectOptions{
		NATS: a.NATS, Store: a.storeURL(), Bucket: a.Name, Namespace: a.Name, Name: a.Name, Lease: leaseLength, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	s := &demoEnvironment{Connections: c, a: a}
	if err := s.openStore(ctx); err != nil {
		return nil, errors.Join(err, c.Close()) //nolint:contextcheck // closing does not depend on it
	}
	return s, nil
}

func (s *demoEnvironment) openStore(ctx context.Context) error {
	if _, err := s.Store(ctx); err != nil || !s.a.Atomic {
		return err
	}
	updater, err := s.Documents(ctx)
	if err != nil {
		return err
	}
	s.documents = &effectDocuments{updater: updater, coll: s.Database().Collection(s.a.effectsName())}
	return nil
}

// effectFunc is how effects are made; nil: in the journal.
func (s *demoEnvironment) effectFunc() effectFunc {
	if s.documents == nil {
		return nil
	}
	return s.documents.addEffect
}

// answerTimeout is how long a server may take to answer at the end.
const answerTimeout = 5 * time.Second

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
	errs := []error{s.removeGroup(ctx)}
	if err := js.DeleteStream(ctx, s.a.Name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		errs = append(errs, fmt.Errorf("remove the stream %s: %w", s.a.Name, err))
	}
	switch s.a.Store {
	case StoreKV:
		if err := js.DeleteKeyValue(ctx, s.a.Name); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
			errs = append(errs, fmt.Errorf("remove the bucket %s: %w", s.a.Name, err))
		}
	case StoreMongo:
		marks := s.Database().Collection(worker.InNamespace(s.a.Name, worker.MarksCollection))
		if err := marks.Drop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("remove the collection %s: %w", marks.Name(), err))
		}
		if s.documents != nil {
			errs = append(errs, s.documents.dropCollection(ctx))
		}
	}
	return errors.Join(errs...)
}

// removeGroup removes what the server knows of the demo's group beside its consumer: what was
// paused, and the members that were killed.
func (s *demoEnvironment) removeGroup(ctx context.Context) error {
	store, err := s.GroupStore(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, space := range []group.Space{group.PauseRows, group.MemberRows} {
		rows, err := store.List(ctx, space, s.a.Name)
		errs = append(errs, err)
		for _, row := range rows.Rows {
			errs = append(errs, store.Delete(ctx, space, s.a.Name, row.Key))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the group %s: %w", s.a.Name, err)
	}
	return nil
}
