package deferral

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// The headers of a deferred event. Their values are percent-encoded.
const (
	// HeaderTopic is the topic that the event was published to.
	HeaderTopic = "Onceish-Deferred-Topic"
	// HeaderKey is the key by which it is summed up.
	HeaderKey = "Onceish-Deferred-Key"
	// HeaderID is the ID by which the store knows the event on its own topic.
	HeaderID = "Onceish-Deferred-Id"
	// HeaderGroup is the group that has deferred the event: others leave it alone.
	HeaderGroup = "Onceish-Deferred-Group"
	// HeaderFlush is on an event that makes summaries due at once, and is not deferred itself.
	HeaderFlush = "Onceish-Deferred-Flush"
)

// eventHeaders are those that every deferred event has.
var eventHeaders = []string{HeaderTopic, HeaderKey, HeaderID, HeaderGroup}

// deferredEvent is an event of the topic of deferred events.
type deferredEvent struct {
	event bus.Event // as it was
	key   string    // of its summary
	own   dedupe.Key
	flush bool
	// foreign is the group that has deferred it, if that is another one.
	foreign string
}

// encodeEvent returns the event as it is published for a summary: it keeps its attributes, but for
// the topic. own is what the store knows it by.
func encodeEvent(e bus.Event, topic, key string, own dedupe.Key) bus.Event {
	e = e.WithoutControl()
	h := e.Headers.Clone()
	h.Set(HeaderTopic, url.PathEscape(e.Topic))
	h.Set(HeaderKey, url.PathEscape(key))
	h.Set(HeaderID, url.PathEscape(own.ID))
	h.Set(HeaderGroup, url.PathEscape(own.Group))
	// Copy keeps events of different topics apart that have one ID, and what two groups defer.
	control := bus.Control{Copy: "deferred:" + e.Topic + ":" + own.Group, Again: strings.TrimPrefix(own.Scope, againPrefix)}
	e.Headers, e.Type, e.Topic = h, cmp.Or(e.Type, e.Topic), topic
	return e.WithControl(control)
}

// decodeEvent reads what encodeEvent has written. The headers do not say in which scope the event
// runs again.
func decodeEvent(e bus.Event, group string) (d deferredEvent, err error) {
	if e.Headers.Get(HeaderFlush) != "" {
		return deferredEvent{flush: true}, nil
	}
	text := make(map[string]string, 4)
	for _, name := range eventHeaders {
		values, ok := e.Headers[name]
		if !ok || len(values) == 0 {
			return d, fmt.Errorf("%w: event %.64q on %q has no header %s", ErrNotDeferred, e.ID, e.Topic, name)
		}
		if text[name], err = url.PathUnescape(values[0]); err != nil {
			return d, fmt.Errorf("%w: event %.64q on %q: header %s: %w", ErrNotDeferred, e.ID, e.Topic, name, err)
		}
	}
	d = deferredEvent{event: e.WithoutControl(), key: text[HeaderKey], own: dedupe.Key{Topic: text[HeaderTopic], Group: group, ID: text[HeaderID]}}
	d.event.Topic, d.event.Headers = d.own.Topic, d.event.Headers.Clone()
	if by := text[HeaderGroup]; by != group {
		d.foreign = by
	}
	for _, name := range eventHeaders {
		delete(d.event.Headers, name)
	}
	if control, err := e.Control(); err == nil {
		d.own.Scope = dedupe.AgainScope(control.Again)
	}
	return d, nil
}

// againPrefix is what dedupe.AgainScope puts before a name.
var againPrefix = strings.TrimSuffix(dedupe.AgainScope("-"), "-")

// storedID is the ID by which the store knows a deferred event: two topics may have one ID. A topic
// has no space. It is empty for what is no deferred event.
func storedID(e bus.Event, group string) string {
	d, err := decodeEvent(e, group)
	switch {
	case err != nil:
		return ""
	case d.flush:
		return "flush " + e.ID
	case d.foreign != "":
		return " " + d.foreign + " " + d.own.Topic + " " + d.own.ID
	}
	return d.own.Topic + " " + d.own.ID
}
