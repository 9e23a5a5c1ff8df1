package main

import (
	"time"

	"github.com/onceish/onceish/worker/view"
)

// listingJSON is a listing for programs.
type listingJSON struct {
	Outbox string      `json:"outbox"`
	Counts view.Counts `json:"counts"`
	Rows   []view.Row  `json:"rows"`
	More   bool        `json:"more"` // rows match than these
}

func (l *rowListing) toJSON(at time.Time) listingJSON {
	return listingJSON{Outbox: l.Outbox, Counts: view.NewCounts(l.counts), Rows: view.NewRows(l.rows, at), More: l.More}
}
