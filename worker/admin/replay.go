package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/replay"
)

// RangeQuery says where on a topic to begin.
type RangeQuery struct {
	Topic   string `query:"topic" required:"true" doc:"topic or pattern; a pattern must lie in one stream" example:"order.placed"`
	From    string `query:"from" enum:"earliest,ts,afterId,after" doc:"where to begin; empty: as ts, afterId or after says that is set, or else earliest"`
	TS      string `query:"ts" doc:"begin at the first event that was stored at or after this time"`
	AfterID string `query:"afterId" doc:"begin after the first event with this id, which is looked for from the earliest event on"`
	After   string `query:"after" doc:"begin after this position: next of an earlier answer"`
}

// parse returns where to begin. One of the places is set at most, and it is the one that from
// names.
func (q *RangeQuery) parse(now time.Time) (from bus.From, err error) {
	if err := checkPattern(q.Topic); err != nil {
		return from, err
	}
	set := map[string]bool{"ts": q.TS != "", "afterId": q.AfterID != "", "after": q.After != ""}
	for name, is := range set {
		switch {
		case is && q.From != "" && q.From != name:
			return from, fmt.Errorf("%w: from is %s, and %s is set as well: leave one of them out", errInvalid, q.From, name)
		case !is && q.From == name:
			return from, fmt.Errorf("%w: from is %[2]s, and %[2]s is not set", errInvalid, name)
		}
	}
	if q.From == "earliest" {
		return from, nil
	}
	if from.Time, err = parseTime("ts", q.TS, now); err != nil {
		return from, err
	}
	if from.After, err = parsePosition("after", q.After); err != nil {
		return from, err
	}
	from.AfterID = q.AfterID
	if err := (&bus.Range{From: from}).Validate(); err != nil {
		return from, fmt.Errorf("%w: set one at most of ts, afterId and after: %w", errInvalid, err)
	}
	return from, nil
}

type replayInput struct {
	RangeQuery
	PayloadQuery

	Limit int `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"how many events at most; large payloads make a page shorter"`
}

type replayOutput struct {
	Body EventPage
}

// EventPage is a page of stored events.
type EventPage struct {
	Topic   string            `json:"topic"`
	Count   int               `json:"count"`
	Events  []json.RawMessage `json:"events" doc:"CloudEvents in JSON, with streamsequence and streamtime; without data and headers unless payload=1"`
	Next    string            `json:"next" doc:"position for after, from which the next page goes on without a gap; empty: nothing was read"`
	More    bool              `json:"more" doc:"there are more events now"`
	Dropped uint64            `json:"dropped,string,omitempty" doc:"upper bound of the events that the stream dropped before they were read"`
	Skipped int               `json:"skipped,omitempty" doc:"events that cannot be shown, because text of them is not UTF-8"`
}

// maxPageBytes ends a page early.
const maxPageBytes = 4 << 20

func (a *API) registerEvents() {
	op := reading("read-events", "/v1/replay", tagEvents, "Read stored events",
		"A page of what is stored on a topic, the oldest first. No group notices it. A page that goes on at next has no gap and no repeat.",
		http.StatusNotFound, http.StatusGone, http.StatusNotImplemented)
	register(a, op, a.readEvents)
	op.OperationID, op.Path, op.Hidden = "read-events-alias", "/replay", true
	register(a, op, a.readEvents)
	a.registerExport()
}

func (a *API) reader() (bus.Reader, error) {
	reader, ok := a.conns.Bus().(bus.Reader)
	if !ok {
		return nil, fmt.Errorf("the bus cannot be read again: %w", errors.ErrUnsupported)
	}
	return reader, nil
}

func (a *API) readEvents(ctx context.Context, in *replayInput) (*replayOutput, error) {
	from, err := in.parse(time.Now())
	if err != nil {
		return nil, err
	}
	reader, err := a.reader()
	if err != nil {
		return nil, err
	}
	p := &pageReader{bus: a.conns.Bus(), payload: in.Payload, limit: in.Limit, page: EventPage{Topic: in.Topic, Events: []json.RawMessage{}, Next: in.After}}
	for s, err := range reader.Read(ctx, in.Topic, bus.Range{From: from, Partitions: true, HeadersOnly: !in.Payload}) {
		if dropped, ok := errors.AsType[*bus.DroppedError](err); ok {
			p.page.Dropped += dropped.Count()
			continue
		}
		if err != nil {
			return nil, err
		}
		if full, err := p.add(ctx, &s); err != nil || full {
			return &replayOutput{p.page}, err
		}
	}
	return &replayOutput{p.page}, nil
}

// pageReader collects a page.
type pageReader struct {
	bus     bus.Bus
	payload bool
	limit   int
	bytes   int
	page    EventPage
}

// add appends an event, and reports whether the page was full without it.
func (p *pageReader) add(ctx context.Context, s *bus.Stored) (full bool, err error) {
	if p.page.Count == p.limit || p.page.Count > 0 && p.bytes >= maxPageBytes {
		p.page.More = true
		return true, nil
	}
	if s.Malformed != nil && !p.payload {
		if err := p.loadAttributes(ctx, s); err != nil {
			return false, err
		}
	}
	if !p.payload {
		s.Event.Data, s.Event.Headers = nil, nil
	}
	p.page.Next = s.At.String()
	line, err := replay.AppendLine(nil, *s)
	if err != nil {
		p.page.Skipped++
		return false, nil //nolint:nilerr // it is counted
	}
	p.page.Events, p.page.Count, p.bytes = append(p.page.Events, line), p.page.Count+1, p.bytes+len(line)
	return false, nil
}

// loadAttributes reads an event as a whole whose attributes may be in its data.
func (p *pageReader) loadAttributes(ctx context.Context, s *bus.Stored) error {
	finder, ok := p.bus.(bus.Finder)
	if !ok {
		return nil
	}
	e, err := finder.Get(ctx, s.At)
	if err == nil {
		s.Event = e
	}
	return context.Cause(ctx)
}
