package testbed

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

// Connections are a process's connections to the servers of a bed.
type Connections struct {
	*worker.Connections

	bed *Bed
}

// answerTimeout is how long a server may take to answer at the end.
const answerTimeout = 5 * time.Second

// Connect connects to the servers, and makes the bucket or the collection if it is not there. Lease
// is the shortest one of what will run over the connections. Close ends them.
func (b *Bed) Connect(ctx context.Context, lease time.Duration, log *slog.Logger) (*Connections, error) {
	c, err := worker.Connect(ctx, &worker.ConnectOptions{
		NATS: b.NATS, Store: b.storeURL(), Bucket: b.Name, Namespace: b.Name, Name: b.Name, Lease: lease, Logger: log,
		NamedServersOnly: b.Proxied,
	})
	if err != nil {
		return nil, err
	}
	if _, err := c.Store(ctx); err != nil {
		return nil, errors.Join(err, c.Close()) //nolint:contextcheck // closing does not depend on it
	}
	return &Connections{Connections: c, bed: b}, nil
}

// ConnectAs is Connect with options of the caller's own. It makes nothing.
func (b *Bed) ConnectAs(ctx context.Context, o *worker.ConnectOptions) (*Connections, error) {
	c, err := worker.Connect(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Connections{Connections: c, bed: b}, nil
}

// MakeStream makes the bed's stream, for events and for dead letters. The description says whose it
// is.
func (c *Connections) MakeStream(ctx context.Context, js jetstream.JetStream, description string) error {
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: c.bed.Name, Description: description, Storage: jetstream.FileStorage,
		Subjects: []string{c.bed.Topic(), c.bed.Topic() + ".>", c.bed.DeadLetters()},
	})
	if err != nil {
		return fmt.Errorf("make the stream %s at %s: %w: does this server have JetStream, and may this user make streams?", c.bed.Name, c.BusName(), err)
	}
	return nil
}

// Remove removes the stream, the bucket or the collection of marks, and the group, also after ctx
// has ended. What was not made is no error.
func (c *Connections) Remove(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	errs := []error{c.RemoveGroup(ctx, c.bed.Name)}
	if err := js.DeleteStream(ctx, c.bed.Name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		errs = append(errs, fmt.Errorf("remove the stream %s: %w", c.bed.Name, err))
	}
	return errors.Join(append(errs, c.RemoveMarks(ctx, js))...)
}

// RemoveMarks removes the bucket or the collection of marks, also after ctx has ended. What was not
// made is no error.
func (c *Connections) RemoveMarks(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	switch c.bed.Store {
	case StoreKV:
		if err := js.DeleteKeyValue(ctx, c.bed.Name); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
			return fmt.Errorf("remove the bucket %s: %w", c.bed.Name, err)
		}
	case StoreMongo:
		marks := c.Database().Collection(worker.InNamespace(c.bed.Name, worker.MarksCollection))
		if err := marks.Drop(ctx); err != nil {
			return fmt.Errorf("remove the collection %s: %w", marks.Name(), err)
		}
	}
	return nil
}

// RemoveGroup removes what the server knows of a group beside its consumers: its pauses, and the
// members that were killed.
func (c *Connections) RemoveGroup(ctx context.Context, name string) error {
	store, err := c.GroupStore(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, space := range []group.Space{group.PauseRows, group.MemberRows, group.PlanRows} {
		rows, err := store.List(ctx, space, name)
		errs = append(errs, err)
		for _, row := range rows.Rows {
			errs = append(errs, store.Delete(ctx, space, name, row.Key))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the group %s: %w", name, err)
	}
	return nil
}
