package view

import (
	"time"

	"github.com/onceish/onceish/outbox"
)

// Row is a row of an outbox.
type Row struct {
	ID          string `json:"id" doc:"id of the event"`
	Status      string `json:"status" doc:"pending, scheduled, sent or dead"`
	Topic       string `json:"topic"`
	Key         string `json:"key,omitempty"`
	Type        string `json:"type,omitempty"`
	Source      string `json:"source,omitempty"`
	Time        string `json:"time,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	Bytes       int    `json:"bytes" doc:"size of its data"`
	Sequence    uint64 `json:"sequence,string"`
	Attempts    int    `json:"attempts"`
	Reason      string `json:"reason,omitempty" doc:"why it was refused last"`
	Added       string `json:"added"`
	Sent        string `json:"sent,omitempty"`
	Due         string `json:"due,omitempty" doc:"when it is tried again, or published if it is scheduled"`
}

// NewRow returns the view of a row that was read at a time.
func NewRow(r *outbox.Row, at time.Time) Row {
	e := &r.Event
	out := Row{
		ID: e.ID, Status: r.Status.String(), Topic: e.Topic, Key: e.Key, Type: e.Type, Source: e.Source, Time: FormatTime(e.Time), ContentType: e.ContentType,
		Bytes: len(e.Data), Sequence: r.Seq, Attempts: r.Attempts, Reason: r.Reason, Added: FormatTime(r.Added), Sent: FormatTime(r.Sent),
	}
	switch {
	case r.Status == outbox.Scheduled:
		out.Due = FormatTime(r.At)
	case r.After > 0:
		out.Due = FormatTime(at.Add(r.After))
	}
	return out
}

// NewRows returns the views of rows; never nil.
func NewRows(rows []outbox.Row, at time.Time) []Row {
	out := make([]Row, len(rows))
	for i := range rows {
		out[i] = NewRow(&rows[i], at)
	}
	return out
}

// WholeRow is a row with what is in it.
type WholeRow struct {
	Row
	Payload
}

// NewWholeRow returns the view of a row that was read at a time.
func NewWholeRow(r *outbox.Row, at time.Time) WholeRow {
	return WholeRow{Row: NewRow(r, at), Payload: NewPayload(&r.Event)}
}

// Counts are of all rows of an outbox.
type Counts struct {
	Pending              int     `json:"pending"`
	Sent                 int     `json:"sent"`
	Dead                 int     `json:"dead"`
	Scheduled            int     `json:"scheduled" doc:"rows that are due later"`
	OldestPendingSeconds float64 `json:"oldest_pending_seconds" doc:"how long ago the oldest pending row was added, or became due if it was scheduled; 0: none is pending"`
	WaitingDocuments     int     `json:"waiting_documents" doc:"documents with events that are yet to become rows"`
}

// NewCounts returns the view of counts.
func NewCounts(c outbox.Counts) Counts {
	return Counts{
		Pending: c.Pending, Sent: c.Sent, Dead: c.Dead, Scheduled: c.Scheduled, OldestPendingSeconds: c.Oldest.Seconds(), WaitingDocuments: c.Waiting,
	}
}
