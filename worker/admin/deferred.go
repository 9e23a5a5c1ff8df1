package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/worker"
)

// DeferredKey is what waits for its summary under one key.
type DeferredKey struct {
	Key    string    `json:"key"`
	Events int       `json:"events" doc:"how many wait"`
	Oldest time.Time `json:"oldest" doc:"when the first of them was stored"`
}

type deferredInput struct {
	GroupPath

	Topic string `query:"topic" doc:"topic of the deferred events; empty: deferred.GROUP"`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"how many keys at most"`
}

type deferredOutput struct {
	Body DeferredList
}

// DeferredList is what a group has deferred on a topic.
type DeferredList struct {
	Group  string        `json:"group"`
	Topic  string        `json:"topic" doc:"where the events wait"`
	Keys   []DeferredKey `json:"keys" doc:"the one that waits longest first"`
	Count  int           `json:"count" doc:"how many keys have events that wait, listed or not"`
	Events int           `json:"events" doc:"how many events wait under all of them"`
}

type flushInput struct {
	GroupPath

	Body FlushRequest
}

// FlushRequest says what is to be summed up at once.
type FlushRequest struct {
	Why

	Topic string `json:"topic,omitempty" doc:"topic of the deferred events; absent: deferred.GROUP"`
}

func (in *flushInput) why() *Why { return &in.Body.Why }

func (in *flushInput) target() string {
	if in.Body.Topic == "" {
		return "what group " + in.Group + " has deferred"
	}
	return "what group " + in.Group + " has deferred on topic " + in.Body.Topic
}

type flushOutput struct {
	Body FlushResult
}

// FlushResult says what will be summed up.
type FlushResult struct {
	Group string `json:"group"`
	Topic string `json:"topic" doc:"what waits there by now is due"`
}

func (a *API) registerDeferred() {
	register(a, reading("list-deferred", "/v1/groups/{group}/deferred", tagGroups, "List what a group has deferred",
		"The keys with events that wait for their summary. It reads the headers of all events that wait.", http.StatusNotFound, http.StatusNotImplemented), a.listDeferred)
	registerChange(a, changingBy(http.MethodPost, "flush-deferred", "/v1/groups/{group}/deferred/flush", tagGroups, "Sum up what is deferred at once",
		"The process of the group that makes summaries makes those of all that is deferred by now. It is not waited for."), a.flushDeferred)
}

// openDeferred returns what a group has deferred on a topic, which must be there.
func (a *API) openDeferred(ctx context.Context, group, topic string) (*worker.Deferred, error) {
	if topic != "" {
		if err := bus.ValidTopic(topic); err != nil {
			return nil, fmt.Errorf("%w: topic: %w", errInvalid, err)
		}
	}
	d, err := a.conns.Deferred(ctx, group, topic)
	if errors.Is(err, bus.ErrNoStream) {
		return nil, fmt.Errorf("%w: the group has deferred nothing yet, or on another topic: %w", errNotFound, err)
	}
	return d, err
}

func (a *API) listDeferred(ctx context.Context, in *deferredInput) (*deferredOutput, error) {
	d, err := a.openDeferred(ctx, in.Group, in.Topic)
	if err != nil {
		return nil, err
	}
	waiting, err := d.List(ctx)
	if err != nil {
		return nil, err
	}
	out := DeferredList{Group: in.Group, Topic: d.Topic(), Keys: make([]DeferredKey, 0, min(len(waiting), in.Limit)), Count: len(waiting)}
	for i, w := range waiting {
		if out.Events += w.Events; i < in.Limit {
			out.Keys = append(out.Keys, DeferredKey{w.Key, w.Events, w.Oldest.UTC()})
		}
	}
	return &deferredOutput{out}, nil
}

func (a *API) flushDeferred(ctx context.Context, in *flushInput) (*flushOutput, error) {
	d, err := a.openDeferred(ctx, in.Group, in.Body.Topic)
	if err != nil {
		return nil, err
	}
	if err := d.Flush(ctx); err != nil {
		return nil, err
	}
	return &flushOutput{FlushResult{in.Group, d.Topic()}}, nil
}
