package main

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/mongodoc"
)

// bill adds the subscription to orders: one for all their events, so that those of an order are
// handled in their order.
func bill(ctx context.Context, s *shop, _ func(string) string) error {
	if err := s.stream(ctx, "invoice.*"); err != nil {
		return err
	}
	b := &ledger{once: s.once, invoices: s.db.Collection("invoices")}
	s.Handle("order.*", consumer.JSON(b.enter), &consumer.Options{Lease: lease, AckWait: lease})
	return nil
}

// ledger is where invoices are kept, one for each order.
type ledger struct {
	once     *mongodoc.Updater
	invoices *mongo.Collection
}

// enter adds a line to the invoice, and to its total: what must not be done twice, and is not,
// because it is one write with the event's mark.
func (l *ledger) enter(ctx context.Context, e bus.Event, o order) error {
	if err := o.check(); err != nil {
		return consumer.Permanent(err)
	}
	switch e.Topic {
	case orderPlaced:
		return l.add(ctx, o, o.Cents, invoiceIssued)
	case orderCancelled:
		return l.add(ctx, o, -o.Cents, invoiceCredited)
	}
	return consumer.Permanent(fmt.Errorf("%s is nothing that is billed", e.Topic))
}

func (l *ledger) add(ctx context.Context, o order, cents int, topic string) error {
	event, err := o.event(topic)
	if err != nil {
		return err
	}
	line := bson.D{{Key: "text", Value: topic}, {Key: "cents", Value: cents}}
	_, err = l.once.UpdateOnce(ctx, l.invoices, byID(o.ID), bson.D{
		{Key: "$set", Value: bson.D{{Key: "customer", Value: o.Customer}}},
		{Key: "$push", Value: bson.D{{Key: "lines", Value: line}}},
		{Key: "$inc", Value: bson.D{{Key: "total", Value: cents}}},
	}, &mongodoc.UpdateOptions{Upsert: topic == invoiceIssued, Publish: []bus.Event{event}})
	return err // mongodoc.ErrNoMatch: a cancelled order that has no invoice yet is retried
}
