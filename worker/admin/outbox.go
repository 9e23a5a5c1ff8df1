package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/view"
)

// outboxCache keeps outboxes that were opened, which takes some round trips.
type outboxCache struct {
	mu   sync.Mutex
	open map[string]*worker.OutboxAdmin
}

// openOutbox returns the outbox in a collection, which must be there.
func (a *API) openOutbox(ctx context.Context, collection string) (*worker.OutboxAdmin, error) {
	a.outboxes.mu.Lock()
	box := a.outboxes.open[collection]
	a.outboxes.mu.Unlock()
	if box != nil {
		return box, nil
	}
	box, err := a.conns.OutboxAdmin(ctx, collection)
	if err != nil {
		return nil, err
	}
	a.outboxes.mu.Lock()
	defer a.outboxes.mu.Unlock()
	if a.outboxes.open == nil {
		a.outboxes.open = make(map[string]*worker.OutboxAdmin)
	}
	a.outboxes.open[collection] = box
	return box, nil
}

// OutboxQuery names an outbox.
type OutboxQuery struct {
	Collection string `query:"collection" maxLength:"120" pattern:"^[a-zA-Z0-9_-]*$" doc:"its collection, in the database of the marks; empty: outbox"`
}

// RowFilter selects rows, in queries and in bodies.
type RowFilter struct {
	IDs    []string `query:"id,explode" json:"ids,omitempty" maxItems:"1000" doc:"ids of rows"`
	Topic  string   `query:"topic" json:"topic,omitempty" doc:"topic of the event, or a pattern"`
	Key    string   `query:"key" json:"key,omitempty"`
	Status string   `query:"status" json:"status,omitempty" enum:"pending,scheduled,sent,dead"`
	From   string   `query:"from" json:"from,omitempty" doc:"added at or after this time"`
	To     string   `query:"to" json:"to,omitempty" doc:"added before this time"`
}

func (f *RowFilter) parse() (outbox.Filter, error) {
	out := outbox.Filter{IDs: f.IDs, Topic: f.Topic, Key: f.Key, Status: outbox.ParseStatus(f.Status)}
	if f.Topic != "" {
		if err := checkPattern(f.Topic); err != nil {
			return out, err
		}
	}
	var from, to error
	out.From, from = parseMoment("from", f.From)
	out.To, to = parseMoment("to", f.To)
	return out, errors.Join(from, to)
}

type outboxOutput struct {
	Body OutboxCounts
}

// OutboxCounts is how many rows an outbox has.
type OutboxCounts struct {
	Outbox string      `json:"outbox" doc:"where it is"`
	Counts view.Counts `json:"counts"`
}

type rowsInput struct {
	OutboxQuery
	RowFilter

	Limit int `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"how many at most"`
}

type rowsOutput struct {
	Body RowList
}

// RowList are rows: dead ones first, then pending, scheduled and sent ones.
type RowList struct {
	Outbox string     `json:"outbox"`
	Rows   []view.Row `json:"rows"`
	More   bool       `json:"more" doc:"there are more: narrow them down by topic, key, status, from and to"`
}

type rowInput struct {
	OutboxQuery
	PayloadQuery

	ID    string `path:"id" minLength:"1" maxLength:"4096" doc:"id of the row; / is written %2F"`
	Topic string `query:"topic" doc:"topic of the event, where several have the id"`
}

type rowOutput struct {
	Body view.WholeRow
}

func (a *API) registerOutbox() {
	register(a, reading("count-rows", "/v1/outbox", tagOutbox, "Count the rows of an outbox",
		"On large outboxes it takes its time.", http.StatusNotFound), a.countRows)
	register(a, reading("list-rows", "/v1/outbox/rows", tagOutbox, "List rows",
		"Dead ones first, then pending, scheduled and sent ones; of each status those that were added first come first.", http.StatusNotFound), a.listRows)
	register(a, reading("show-row", "/v1/outbox/rows/{id}", tagOutbox, "Show a row",
		"With its event where payload=1.", http.StatusNotFound, http.StatusConflict), a.showRow)
}

func (a *API) countRows(ctx context.Context, in *OutboxQuery) (*outboxOutput, error) {
	box, err := a.openOutbox(ctx, in.Collection)
	if err != nil {
		return nil, err
	}
	counts, err := box.Count(ctx)
	if err != nil {
		return nil, err
	}
	return &outboxOutput{OutboxCounts{box.Name(), view.NewCounts(counts)}}, nil
}

func (a *API) listRows(ctx context.Context, in *rowsInput) (*rowsOutput, error) {
	f, err := in.parse()
	if err != nil {
		return nil, err
	}
	box, err := a.openOutbox(ctx, in.Collection)
	if err != nil {
		return nil, err
	}
	rows, more, err := outbox.ListUrgent(ctx, box, f, in.Limit)
	if err != nil {
		return nil, err
	}
	return &rowsOutput{RowList{box.Name(), view.NewRows(rows, time.Now()), more}}, nil
}

func (a *API) showRow(ctx context.Context, in *rowInput) (*rowOutput, error) {
	f, err := (&RowFilter{IDs: []string{in.ID}, Topic: in.Topic}).parse()
	if err != nil {
		return nil, err
	}
	box, err := a.openOutbox(ctx, in.Collection)
	if err != nil {
		return nil, err
	}
	rows, err := box.List(ctx, f, 2)
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0:
		return nil, fmt.Errorf("%w: %s has no row %q: it was never added, or was sent and removed since", errNotFound, box.Name(), in.ID)
	case len(rows) > 1:
		return nil, fmt.Errorf("%w: %s has more than one row %q: add topic, such as %s or %s", errConflict, box.Name(), in.ID, rows[0].Event.Topic, rows[1].Event.Topic)
	}
	out := view.NewWholeRow(&rows[0], time.Now())
	if !in.Payload {
		out.Payload = view.Payload{}
	}
	return &rowOutput{out}, nil
}
