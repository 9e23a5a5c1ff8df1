package main

import (
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/outbox"
)

// rowJSON is a row for programs: times are RFC 3339, sequences are text.
type rowJSON struct {
	ID          string `json:"id"`
	Status      string `json:"status"`
	Topic       string `json:"topic"`
	Key         string `json:"key,omitempty"`
	Type        string `json:"type,omitempty"`
	Source      string `json:"source,omitempty"`
	Time        string `json:"time,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	Bytes       int    `json:"bytes"`
	Sequence    uint64 `json:"sequence,string"`
	Attempts    int    `json:"attempts"`
	Reason      string `json:"reason,omitempty"`
	Added       string `json:"added"`
	Sent        string `json:"sent,omitempty"`
	Due         string `json:"due,omitempty"` // when it is tried again
}

// wholeJSON is a row with what is in it.
type wholeJSON struct {
	rowJSON

	Headers    map[string][]string `json:"headers,omitempty"`
	Data       *string             `json:"data,omitempty"`
	DataBase64 []byte              `json:"data_base64,omitempty"`
}

func newRowJSON(r *outbox.Row, at time.Time) rowJSON {
	e := &r.Event
	out := rowJSON{
		ID: e.ID, Status: r.Status.String(), Topic: e.Topic, Key: e.Key, Type: e.Type, Source: e.Source, Time: formatTime(e.Time), ContentType: e.ContentType,
		Bytes: len(e.Data), Sequence: r.Seq, Attempts: r.Attempts, Reason: r.Reason, Added: formatTime(r.Added), Sent: formatTime(r.Sent),
	}
	if r.After > 0 {
		out.Due = formatTime(at.Add(r.After))
	}
	return out
}

func newWholeJSON(r *outbox.Row, at time.Time) wholeJSON {
	out := wholeJSON{rowJSON: newRowJSON(r, at), Headers: r.Event.Headers}
	if data := string(r.Event.Data); utf8.ValidString(data) {
		out.Data = &data
	} else {
		out.DataBase64 = r.Event.Data
	}
	return out
}

// listingJSON is a listing for programs.
type listingJSON struct {
	Outbox string     `json:"outbox"`
	Counts countsJSON `json:"counts"`
	Rows   []rowJSON  `json:"rows"`
	More   bool       `json:"more"` // rows match than these
}

// countsJSON are of all rows there are.
type countsJSON struct {
	Pending              int     `json:"pending"`
	Sent                 int     `json:"sent"`
	Dead                 int     `json:"dead"`
	OldestPendingSeconds float64 `json:"oldest_pending_seconds"`
	WaitingDocuments     int     `json:"waiting_documents"`
}

func (l *rowListing) toJSON(at time.Time) listingJSON {
	c := l.counts
	out := listingJSON{
		Outbox: l.Outbox, Counts: countsJSON{Pending: c.Pending, Sent: c.Sent, Dead: c.Dead, OldestPendingSeconds: c.Oldest.Seconds(), WaitingDocuments: c.Waiting},
		Rows: make([]rowJSON, 0, len(l.rows)), More: l.More,
	}
	for i := range l.rows {
		out.Rows = append(out.Rows, newRowJSON(&l.rows[i], at))
	}
	return out
}
