package demo

import (
	"context"
	"errors"
	"log/slog"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// workerAssignment is what a worker process is told.
type workerAssignment struct {
	testbed.Bed

	Atomic  bool   `json:"atomic,omitempty"`
	Journal string `json:"journal"`
	Seed    uint64 `json:"seed"`
	// Crashes at which an event is given up: kills are no fault of the event's.
	Crashes int `json:"crashes"`
}

func (a *workerAssignment) effectsName() string { return a.Name + ".effects" }

// demoConnections are a process's connections to the servers of a demo.
type demoConnections struct {
	*testbed.Connections

	documents *effectDocuments // nil unless effects are atomic
}

func (a *workerAssignment) connect(ctx context.Context, log *slog.Logger) (*demoConnections, error) {
	c, err := a.Connect(ctx, leaseLength, log)
	if err != nil {
		return nil, err
	}
	d := &demoConnections{Connections: c}
	if !a.Atomic {
		return d, nil
	}
	updater, err := c.Documents(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Close()) //nolint:contextcheck // closing does not depend on it
	}
	d.documents = &effectDocuments{updater: updater, coll: c.Database().Collection(a.effectsName())}
	return d, nil
}

// effectFunc is how effects are made; nil: in the journal.
func (d *demoConnections) effectFunc() effectFunc {
	if d.documents == nil {
		return nil
	}
	return d.documents.addEffect
}
