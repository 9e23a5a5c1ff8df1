package main

import (
	"context"
	"log/slog"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
	"github.com/onceish/onceish/worker"
)

// relay brings events from the documents in which they wait to the bus, by way of the outbox. Any number of processes may have one: an
// event is published once, in the order of its key, unless one of them dies on the way, and then under the same id.
type relay struct {
	mover   *mongooutbox.Mover
	drainer *outbox.Drainer
}

func newRelay(ctx context.Context, db *mongo.Database, to bus.Publisher, log *slog.Logger) (*relay, error) {
	queue, err := mongooutbox.New(ctx, db.Collection("outbox"), nil)
	if err != nil {
		return nil, err
	}
	drainer, err := outbox.NewDrainer(queue, to, &outbox.Options{Lease: lease, Logger: log})
	if err != nil {
		return nil, err
	}
	mover, err := mongooutbox.NewMover(queue, &mongooutbox.MoverOptions{Moved: drainer.Notify, Logger: log})
	return &relay{mover: mover, drainer: drainer}, err
}

// wake has it look for events at once.
func (r *relay) wake() { r.mover.Notify() }

func (r *relay) addTo(w *worker.Worker) {
	mover := worker.Actor{Name: "mover"}
	mover.Run, mover.Stop = r.mover.Actor()
	w.Add(mover)
	drainer := worker.Actor{Name: "drainer"}
	drainer.Run, drainer.Stop = r.drainer.Actor()
	w.Add(drainer)
}
