package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

// dueFlags say when events are due.
func dueFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "in", HideDefault: true, Usage: "publish the events after a `DURATION`, such as 10m or 2d"},
		&cli.StringFlag{Name: "at", HideDefault: true, Usage: "publish the events at a `TIME`, such as 2027-01-31T15:04:05Z, or later"},
		collectionFlag(),
	}
}

// due is when events are to be published. The zero due is at once.
type due struct {
	in time.Duration
	at time.Time
}

func (d due) isZero() bool { return d.in == 0 && d.at.IsZero() }

// on is when they are due by this machine's clock.
func (d due) on(now time.Time) time.Time {
	if d.in > 0 {
		return now.Add(d.in)
	}
	return d.at
}

// parseDue reads the flags. A time that is over is refused: it is a mistake more likely than a
// wish.
func parseDue(cmd *cli.Command, now time.Time) (d due, err error) {
	in, at := cmd.String("in"), cmd.String("at")
	switch {
	case in != "" && at != "":
		return d, commandline.Usagef(cmd, "--in and --at exclude each other")
	case in+at != "" && cmd.IsSet("partitions"):
		return d, commandline.Usagef(cmd, "--partitions and --in or --at exclude each other: schedule in the outbox of a worker whose file has partitions, which then publishes to them")
	case in != "":
		if d.in, err = config.ParseDuration(in); err != nil || d.in <= 0 {
			return d, commandline.Usagef(cmd, "--in %q is not how long from now, such as 30s, 10m or 2d", in)
		}
	case at != "":
		if d.at, err = time.Parse(time.RFC3339, at); err != nil {
			return d, commandline.Usagef(cmd, "--at %q is no time such as 2027-01-31T15:04:05Z", at)
		}
		if !d.at.After(now) {
			return d, commandline.Usagef(cmd, "--at %s is over: leave it out to publish at once", at)
		}
	}
	if err := bus.CheckDue(d.on(now), now); err != nil {
		return d, commandline.Usagef(cmd, "%w", err)
	}
	return d, nil
}

// duePublisher keeps what is published until it is due. The outbox is where it waits if there is
// one, or else the bus.
type duePublisher struct {
	due   due
	where string
	keep  func(ctx context.Context, events []bus.Event) error
}

// newDuePublisher finds where events of a topic wait.
func newDuePublisher(ctx context.Context, cmd *cli.Command, c *worker.Connections, d due) (*duePublisher, error) {
	box, err := c.OutboxAdmin(ctx, cmd.String("collection"))
	if err == nil {
		return outboxUntilDue(box, d)
	}
	scheduler, ok := c.Bus().(bus.Scheduler)
	switch {
	case !errors.Is(err, worker.ErrNoOutbox) || cmd.IsSet("collection"):
		return nil, err
	case !ok:
		return nil, fmt.Errorf("this bus keeps no events until they are due: %w", err)
	}
	p := &duePublisher{due: d, where: "JetStream"}
	p.keep = func(ctx context.Context, events []bus.Event) error {
		_, err := scheduler.Schedule(ctx, d.on(time.Now()), events...)
		if errors.Is(err, errors.ErrUnsupported) {
			return finalError{err}
		}
		return err
	}
	return p, nil
}

func outboxUntilDue(box *worker.OutboxAdmin, d due) (*duePublisher, error) {
	adder, ok := box.Admin.(interface {
		AddRowsAlone(ctx context.Context, rows ...outbox.Row) ([]string, error)
	})
	if !ok {
		return nil, fmt.Errorf("%s takes no events", box.Name())
	}
	p := &duePublisher{due: d, where: box.Name()}
	p.keep = func(ctx context.Context, events []bus.Event) error {
		rows := outbox.At(d.at, events...)
		if d.in > 0 {
			rows = outbox.In(d.in, events...) // by the clock of the outbox
		}
		_, err := adder.AddRowsAlone(ctx, rows...)
		if errors.Is(err, outbox.ErrExists) {
			return refusedError{err}
		}
		return err
	}
	return p, nil
}

// Publish implements bus.Publisher. What one event is refused for is no other's fault.
func (p *duePublisher) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	receipts := make([]bus.Receipt, len(events))
	err := p.keep(ctx, events)
	if err == nil {
		return receipts, nil
	}
	errs := make([]error, len(events))
	for i := range events {
		if len(events) > 1 {
			err = p.keep(ctx, events[i:i+1])
		}
		receipts[i].Err, errs[i] = err, err
	}
	return receipts, errors.Join(errs...)
}

// refusedError is of an event that can never be stored.
type refusedError struct{ error }

// Is reports that it is bus.ErrInvalidEvent.
func (refusedError) Is(target error) bool { return target == bus.ErrInvalidEvent }

func (e refusedError) Unwrap() error { return e.error }

// finalError is of a bus that can store none of the events.
type finalError struct{ error }

// Is reports that it is bus.ErrClosed: nothing is gained by trying again.
func (finalError) Is(target error) bool { return target == bus.ErrClosed }

func (e finalError) Unwrap() error { return e.error }
