package group

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Paused is a pause that is in force. Times are those of the store's clock.
type Paused struct {
	// Topic is what is paused. Empty: the whole group. Outbox: the group's outbox drainers.
	Topic string `json:"topic,omitempty"`
	// Until is when the pause ends by itself. Zero: it does not.
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"`
	Since  time.Time `json:"since"`
	// Revision is that of the pause's row.
	Revision uint64 `json:"revision,omitzero"`
	// Unreadable says that the row cannot be read. A process that never read an earlier one takes
	// it for a pause without an end; the others keep what they read last.
	Unreadable bool `json:"unreadable,omitempty"`
}

// String returns the pause for logs.
func (p Paused) String() string {
	s := cmp.Or(p.Topic, "the whole group")
	if !p.Until.IsZero() {
		s += " until " + p.Until.UTC().Format(time.RFC3339)
	}
	if p.By != "" {
		s += " by " + p.By
	}
	if p.Reason != "" {
		s += ": " + p.Reason
	}
	return s
}

// PauseFor returns the pause that holds for a topic: its own, or that of the whole group.
func PauseFor(paused []Paused, topic string) (p Paused, ok bool) {
	for _, p := range paused {
		if p.Topic == topic || p.Topic == "" {
			return p, true
		}
	}
	return Paused{}, false
}

// scopeVersion is the version of rows that this package writes and reads.
const scopeVersion = 1

// scopeRow is what was asked for last for a scope. A resume is a row as well: it has a revision to
// confirm.
type scopeRow struct {
	Version int   `json:"v"`
	Pauses  *bool `json:"paused"`
	Paused
}

func parseScopeRow(row *Row) (r scopeRow, err error) {
	err = json.Unmarshal(row.Data, &r)
	switch {
	case err != nil:
	case r.Version != scopeVersion:
		err = fmt.Errorf("version is %d, not %d", r.Version, scopeVersion)
	case r.Pauses == nil:
		err = errors.New("paused is missing")
	}
	r.Topic, r.Revision, r.Unreadable = topicOf(row.Key), row.Revision, false
	return r, err
}

func (p Paused) equal(other Paused) bool {
	return p.Topic == other.Topic && p.Revision == other.Revision && p.Since.Equal(other.Since) && p.Unreadable == other.Unreadable
}
