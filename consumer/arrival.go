package consumer

import (
	"fmt"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// arrivals works out what the protocol needs to know of deliveries.
func (e *engine) arrivals(ds []*bus.Delivery) []protocol.Arrival {
	as := make([]protocol.Arrival, len(ds))
	for i, d := range ds {
		as[i] = e.arrival(d)
	}
	return as
}

func (e *engine) arrival(d *bus.Delivery) (a protocol.Arrival) {
	a = protocol.Arrival{
		Delivery: d, Order: d.Event.Key,
		Key: dedupe.Key{Topic: d.Event.Topic, Group: e.group, ID: d.Event.Identity()},
	}
	if d.ServerMessage != "" {
		a.Foreign = true
		e.o.Logger.Debug("skipped a message of the bus's server", "what", d.ServerMessage, "topic", d.Event.Topic, "sequence", d.At.Sequence)
		return a
	}
	if g := d.Event.Headers.Get(bus.HeaderGroup); g != "" && g != e.group {
		a.Foreign = true
		return a
	}
	if d.Malformed != nil {
		a.Bury = fmt.Sprintf("malformed: %v", d.Malformed)
		a.Hash = Bytes(d.Event)
		return a
	}
	defer func() {
		if p := recover(); p != nil {
			a.Bury = fmt.Sprintf("unidentified: Options.ID, Options.OrderKey or Options.Fingerprint panicked: %v", p)
			a.Hash = Bytes(d.Event)
		}
	}()
	id := e.o.ID(d.Event)
	if id == "" {
		a.Bury = "unidentified: Options.ID returned an empty id"
	} else {
		a.Key.ID = id
	}
	a.Order = e.o.OrderKey(d.Event)
	a.Hash = e.o.Fingerprint(d.Event)
	return a
}
