package consumer

import (
	"fmt"
	"log/slog"

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
	foreign := e.forOthers(d)
	a = protocol.Arrival{
		Delivery: d, Order: d.Event.Key,
		Key: dedupe.Key{Topic: d.Event.Topic, Group: e.group, ID: d.Event.Identity()},
	}
	if foreign {
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

// forOthers takes the event's control headers off it, and reports whether they say that it is for another group. Those that were
// written for another event are not obeyed.
func (e *engine) forOthers(d *bus.Delivery) bool {
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
