package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/onceish/onceish/outbox"
)

type rowsChangeInput struct {
	OutboxQuery

	Body RowsRequest
}

// RowsRequest selects the rows that are changed. One of ids, topic, key, from and to is set; the
// topic ">" is all.
type RowsRequest struct {
	Why
	RowFilter
}

func (in *rowsChangeInput) why() *Why      { return &in.Body.Why }
func (in *rowsChangeInput) target() string { return fmt.Sprintf("rows %+v", in.Body.RowFilter) }

type republishInput struct {
	OutboxQuery

	Body RepublishRequest
}

// RepublishRequest selects rows by when they were sent.
type RepublishRequest struct {
	Why

	Topic string `json:"topic,omitempty" doc:"topic of the event, or a pattern; absent: any"`
	From  string `json:"from" doc:"sent at or after this time: since when events may be lost"`
	To    string `json:"to,omitempty" doc:"sent before this time; absent: until now"`
}

func (in *republishInput) why() *Why { return &in.Body.Why }

func (in *republishInput) target() string {
	return fmt.Sprintf("rows of %q that were sent from %s to %q", in.Body.Topic, in.Body.From, in.Body.To)
}

type rowsChangeOutput struct {
	Body ChangedRows
}

// ChangedRows is how many rows were changed.
type ChangedRows struct {
	Outbox string `json:"outbox"`
	Rows   int    `json:"rows"`
}

func (a *API) registerOutboxChanges() {
	registerChange(a, changingBy(http.MethodPost, "retry-rows", "/v1/outbox/retry", tagOutbox, "Retry rows",
		"Dead rows become pending, due at once and with no attempts; with status pending those that wait after a refusal. Mend first what their reason says."), a.retryRows)
	registerChange(a, changingBy(http.MethodPost, "drop-rows", "/v1/outbox/drop", tagOutbox, "Drop rows",
		"Dead rows are removed for good, unless status says otherwise. An event of a row that is pending may have been published."), a.dropRows)
	registerChange(a, changingBy(http.MethodPost, "republish-rows", "/v1/outbox/republish", tagOutbox, "Republish rows",
		"Rows that were sent in some time become pending, while they are kept, and go out again under their ids: for what the bus has lost. "+
			"What consumers have handled they recognise."), a.republishRows)
}

func (a *API) retryRows(ctx context.Context, in *rowsChangeInput) (*rowsChangeOutput, error) {
	if in.Body.Status == outbox.Sent.String() {
		return nil, fmt.Errorf("%w: rows that were sent are republished, not retried", errInvalid)
	}
	return a.changeRows(ctx, in, outbox.Admin.Retry)
}

func (a *API) dropRows(ctx context.Context, in *rowsChangeInput) (*rowsChangeOutput, error) {
	return a.changeRows(ctx, in, outbox.Admin.Drop)
}

func (a *API) changeRows(
	ctx context.Context, in *rowsChangeInput, change func(outbox.Admin, context.Context, outbox.Filter) (int, error),
) (*rowsChangeOutput, error) {
	f, err := in.Body.parse()
	if err != nil {
		return nil, err
	}
	if f.Empty() {
		return nil, fmt.Errorf("%w: set one of ids, topic, key, from and to; the topic \">\" is all", errInvalid)
	}
	box, err := a.openOutbox(ctx, in.Collection)
	if err != nil {
		return nil, err
	}
	n, err := change(box, ctx, f)
	if err != nil {
		return nil, err
	}
	return &rowsChangeOutput{ChangedRows{box.Name(), n}}, nil
}

func (a *API) republishRows(ctx context.Context, in *republishInput) (*rowsChangeOutput, error) {
	b := &in.Body
	if b.Topic != "" {
		if err := checkPattern(b.Topic); err != nil {
			return nil, err
		}
	}
	from, fromErr := parseMoment("from", b.From)
	to, toErr := parseMoment("to", b.To)
	if err := errors.Join(fromErr, toErr); err != nil {
		return nil, err
	}
	if from.IsZero() {
		return nil, fmt.Errorf("%w: from is empty: since when may events be lost? A time, or how long ago, such as 30m", errInvalid)
	}
	box, err := a.openOutbox(ctx, in.Collection)
	if err != nil {
		return nil, err
	}
	n, err := box.Republish(ctx, b.Topic, from, to)
	if err != nil {
		return nil, err
	}
	return &rowsChangeOutput{ChangedRows{box.Name(), n}}, nil
}
