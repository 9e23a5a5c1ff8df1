package consumer

import (
	"encoding/hex"
	"fmt"
	"log/slog"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// toArrivals works out what the protocol needs to know of deliveries.
func (e *engine) toArrivals(ds []*bus.Delivery) []protocol.Arrival {
	as := make([]protocol.Arrival, len(ds))
	for i, d := range ds {
		as[i] = e.toArrival(d)
	}
	return as
}

func (e *engine) toArrival(d *bus.Delivery) (a protocol.Arrival) {
	foreign := e.takeControl(d)
	a = protocol.Arrival{
		Delivery: d, Order: d.Event.Key,
		Key: dedupe.Key{Topic: d.Event.Topic, Group: e.group, ID: d.Event.Identity()},
	}
	if d.ServerMessage != "" {
		a.Foreign = true
		e.o.Logger.Debug("skipped a message of the bus's server", "what", d.ServerMessage, "topic", d.Event.Topic, "sequence", d.At.Sequence)
		return a
	}
	if foreign {
		a.Foreign = true
		return a
	}
	if d.Malformed != nil {
		refuseArrival(&a, fmt.Sprintf("malformed: %v", d.Malformed))
		return a
	}
	defer func() {
		if p := recover(); p != nil {
			refuseArrival(&a, fmt.Sprintf("unidentified: Options.ID, Options.OrderKey or Options.Fingerprint panicked: %v", p))
		}
	}()
	a.Key.ID = e.o.ID(d.Event)
	if a.Key.ID == "" {
		refuseArrival(&a, e.o.unidentifiedReason())
		return a
	}
	a.Order = e.o.OrderKey(d.Event)
	a.Hash = e.o.payloadHash(d.Event)
	return a
}

// unidentifiedReason is the reason of an event that has no id.
func (o *Options) unidentifiedReason() string {
	if o.IDSource == "" {
		return "unidentified: Options.ID returned an empty id"
	}
	return "unidentified: " + o.IDSource + " is missing or holds no id"
}

// refuseArrival has an event dead-lettered that has no id of its own. Its key is for its payload alone,
// lest it be taken for a duplicate of an event that has the id.
func refuseArrival(a *protocol.Arrival, reason string) {
	e := &a.Delivery.Event
	a.DeadLetterReason, a.Hash, a.Order = reason, dedupe.NewHash(bytesName, Bytes(*e)), e.Key
	a.Key.ID, a.Key.Payload = e.Identity(), hex.EncodeToString(a.Hash)
}

// takeControl takes the event's control headers off it, and reports whether they say that it is for
// another group. Those that were written for another event are not obeyed.
func (e *engine) takeControl(d *bus.Delivery) bool {
	foreign, err := protocol.TakeControl(d, e.group)
	if err != nil {
		level := slog.LevelDebug
		if !e.warnedOfControl.Swap(true) {
			level = slog.LevelWarn
		}
		e.o.Logger.Log(e.calls, level, "control headers ignored: whoever published the event copied them from another one",
			"topic", d.Event.Topic, "id", d.Event.ID, "at", d.At.Sequence, "error", err)
	}
	return foreign
}
