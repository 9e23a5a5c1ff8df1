package main

import (
	"encoding/json"
	"errors"

	"github.com/onceish/onceish/bus"
)

// The topics.
const (
	orderPlaced     = "order.placed"
	orderCancelled  = "order.cancelled"
	invoiceIssued   = "invoice.issued"
	invoiceCredited = "invoice.credited"
)

// order is what somebody has ordered: in requests, documents and events.
type order struct {
	ID       string `bson:"_id"      json:"id"`
	Customer string `bson:"customer" json:"customer"`
	Cents    int    `bson:"cents"    json:"cents"`
}

func (o order) check() error {
	if o.ID == "" || o.Customer == "" || o.Cents <= 0 {
		return errors.New(`an order has an id, a customer and a price, such as {"id":"1","customer":"ada","cents":500}`)
	}
	return nil
}

// event of an order. Its key orders it among the others; it needs no id, for UpdateOnce gives it
// the same one whenever it is asked.
func (o order) event(topic string) (bus.Event, error) {
	data, err := json.Marshal(o)
	return bus.Event{Topic: topic, Key: o.ID, ContentType: "application/json", Data: data}, err
}
