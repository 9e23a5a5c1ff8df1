package consumer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// fetchEvents is the loop that fetches.
func (e *engine) fetchEvents() {
	events, reader := 0, deliveryReader{o: e.o, group: e.group}
	for e.awaitWork(fetchLoop, func(m *protocol.Machine, now time.Time) (ok bool) {
		events, ok = m.Fetch(now)
		return ok
	}) {
		ds, err := e.fetchBatch(events)
		as := make([]protocol.Arrival, len(ds))
		for i, d := range ds {
			as[i] = reader.toArrival(d)
		}
		e.stepMachine(func(m *protocol.Machine, now time.Time) { m.Fetched(now, as) })
		if err != nil {
			e.handleFetchError(err)
		}
	}
}

// fetchBatch makes one call of the bus, and has it observed if it brought deliveries, or failed.
func (e *engine) fetchBatch(wanted int) ([]*bus.Delivery, error) {
	if len(e.observers.fetches) == 0 {
		return e.cursor.Source().Fetch(e.fetching, wanted)
	}
	begun := time.Now()
	ds, err := e.cursor.Source().Fetch(e.fetching, wanted)
	if len(ds) > 0 || err != nil && e.fetching.Err() == nil {
		e.observers.ObserveFetch(Fetch{Wanted: wanted, Events: len(ds), Took: time.Since(begun), Err: err})
	}
	return ds, err
}

// handleFetchError ends the subscription, rebuilds the group's cursor, or waits before a retry.
func (e *engine) handleFetchError(err error) {
	switch {
	case e.fetching.Err() != nil:
	case errors.Is(err, bus.ErrClosed):
		e.endWith(err, &e.busClosed) // runs go on, for they can be marked
		e.restUnlessDraining(e.tickEvery)
	case errors.Is(err, bus.ErrConsumerLost):
		e.o.Logger.Warn("the group's consumer was lost; making it again from the watermark", "error", err)
		if time.Since(e.rebuilt) < fetchRetry && !e.restUnlessDraining(fetchRetry) {
			return // somebody else reads or deletes it, again and again
		}
		e.rebuildCursor()
	default:
		e.o.Logger.Warn("fetching failed: trying again", "error", err)
		if e.restUnlessDraining(fetchRetry) && e.ownedUntil != nil {
			e.rebuildCursor() // deliveries may have got lost, and later ones must not go first
		}
	}
}

const fetchRetry = time.Second

// rebuildCursor recreates the group's consumer, for as long as that takes.
func (e *engine) rebuildCursor() {
	for again := true; again; again = e.restUnlessDraining(fetchRetry) {
		if !e.owns() {
			continue // the cursor is another process's, or will be this one's again
		}
		err := e.cursor.Reopen(e.calls, e.stepForCursor)
		switch {
		case err == nil:
			e.rebuilt = time.Now()
			e.logLostEvents()
			return
		case errors.Is(err, bus.ErrClosed):
			e.endWith(err, &e.busClosed)
			return
		}
		e.o.Logger.Error("the group's consumer could not be made; retrying", "topic", e.topic, "group", e.group, "error", err)
	}
}

// restUnlessDraining waits. It returns false, and does not wait, once draining has begun.
func (e *engine) restUnlessDraining(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.drainBegun:
		return false
	}
}

// deliveryReader works out what the protocol is to know of deliveries. It is not safe for
// concurrent use.
type deliveryReader struct {
	o               *Options
	group           string
	subject, topic  string // the last subject that was seen, and its logical topic
	warnedOfControl bool   // events with another one's control headers are logged as a warning once
}

func (r *deliveryReader) toArrival(d *bus.Delivery) (a protocol.Arrival) {
	control, isForeign := r.takeControl(d)
	subject := d.Event.Topic
	d.Event.Topic = r.logicalTopic(subject)
	again := control.Again
	a = protocol.Arrival{
		Delivery: d, Order: d.Event.Key, Foreign: isForeign || d.ServerMessage != "", Again: again,
		Original: control.OriginalOr(d.At),
		Copied:   control.Redriven != "" || control.Copy != "" || again != "",
		Key:      dedupe.Key{Topic: d.Event.Topic, Group: r.group, ID: d.Event.Identity(), Scope: dedupe.AgainScope(again)},
	}
	if d.ServerMessage != "" {
		r.o.Logger.Debug("skipped a message of the bus's server", "what", d.ServerMessage, "topic", d.Event.Topic, "sequence", d.At.Sequence)
	}
	if a.Foreign {
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
	a.Key.ID = r.o.ID(d.Event)
	if a.Key.ID == "" {
		refuseArrival(&a, r.o.unidentifiedReason())
		return a
	}
	a.Order = r.o.keyOf(&d.Event)
	if key, ok := bus.PartitionKey(subject); ok && r.o.Order.kind == partitioned {
		a.Order = key // what the server has partitioned by
	}
	a.Hash = r.o.payloadHash(d.Event)
	return a
}

// logicalTopic is bus.LogicalTopic. Most deliveries have the subject of the one before.
func (r *deliveryReader) logicalTopic(subject string) string {
	if subject != r.subject {
		r.subject, r.topic = subject, bus.LogicalTopic(subject)
	}
	return r.topic
}

// payloadHash is an event's fingerprint as stores keep it: of a fixed size, whatever the function
// returned, and under its name.
func (o *Options) payloadHash(e bus.Event) []byte {
	value := o.Fingerprint(e)
	switch len(value) {
	case 0:
		return nil
	case shortHashSize:
	default:
		value = shortHash(value)
	}
	return dedupe.NewHash(o.FingerprintName, value)
}

// unidentifiedReason is why an event without an id is dead-lettered.
func (o *Options) unidentifiedReason() string {
	if o.IDSource == "" {
		return "unidentified: Options.ID returned an empty id"
	}
	return "unidentified: " + o.IDSource + " is missing or holds no id"
}

// refuseArrival dead-letters an event that has no id of its own. Its key is that of its payload
// alone, so that it is not taken for a duplicate of an event that has the id.
func refuseArrival(a *protocol.Arrival, reason string) {
	e := &a.Delivery.Event
	a.DeadLetterReason, a.Hash, a.Order = reason, dedupe.NewHash(bytesName, Bytes(*e)), e.Key
	a.Key.ID, a.Key.Scope = e.Identity(), hex.EncodeToString(a.Hash)
}

// takeControl takes the control headers off an event, and returns what they say, and whether the
// event is for another group. Those that were written for another event are ignored.
func (r *deliveryReader) takeControl(d *bus.Delivery) (control bus.Control, foreign bool) {
	control, foreign, err := protocol.TakeControl(d, r.group)
	if err != nil {
		level := slog.LevelDebug
		if !r.warnedOfControl {
			r.warnedOfControl, level = true, slog.LevelWarn
		}
		r.o.Logger.Log(context.Background(), level, "control headers ignored: whoever published the event copied them from another one",
			"topic", d.Event.Topic, "id", d.Event.ID, "at", d.At.Sequence, "error", err)
	}
	return control, foreign
}
