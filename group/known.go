package group

import (
	"cmp"
	"slices"
	"time"
)

// knownPauses are the rows that a process has read last. The zero value knows none. Not safe for
// concurrent use.
type knownPauses struct {
	rows    map[string]knownRow
	applied Applied
}

type knownRow struct {
	pause  Paused
	paused bool
	ends   time.Time // by the local clock; zero: it does not end by itself
	broken error     // why the latest row could not be read
}

// update takes in a listing. The local time at which it was read relates its times to the
// local clock.
func (k *knownPauses) update(l *Listing, local time.Time) {
	rows := make(map[string]knownRow, len(l.Rows))
	for _, row := range l.Rows {
		rows[row.Key] = k.readRow(&row, local.Add(-l.Now.Sub(row.Stored)), l.Now, local)
	}
	k.rows = rows
	k.applied = Applied{Incarnation: l.Incarnation, Revision: l.Revision}
}

// readRow returns what a row says; if it cannot be read, what the last one that could said.
func (k *knownPauses) readRow(row *Row, stored, now, local time.Time) knownRow {
	parsed, err := parseScopeRow(row.Data)
	if err == nil {
		known := knownRow{pause: parsed.pause(row), paused: *parsed.Paused}
		if !parsed.Until.IsZero() {
			known.ends = local.Add(parsed.Until.Sub(now))
		}
		return known
	}
	known, ok := k.rows[row.Key]
	if !ok {
		known = knownRow{paused: true, pause: Paused{Topic: topicOf(row.Key), Since: stored, Reason: err.Error()}}
	}
	known.broken = err
	known.pause.Unreadable = true
	return known
}

// inForce returns the pauses that hold at a local time, by topic.
func (k *knownPauses) inForce(local time.Time) []Paused {
	var paused []Paused
	for _, row := range k.rows {
		if row.paused && (row.ends.IsZero() || local.Before(row.ends)) {
			paused = append(paused, row.pause)
		}
	}
	slices.SortFunc(paused, func(a, b Paused) int { return cmp.Compare(a.Topic, b.Topic) })
	return paused
}

// nextEnd returns how long after a local time the next pause ends by itself, and limit at most.
func (k *knownPauses) nextEnd(local time.Time, limit time.Duration) time.Duration {
	for _, row := range k.rows {
		if left := row.ends.Sub(local); row.paused && !row.ends.IsZero() && left > 0 {
			limit = min(limit, left)
		}
	}
	return limit
}

// unreadable returns the scopes whose rows cannot be read, and why.
func (k *knownPauses) unreadable() map[string]error {
	broken := make(map[string]error)
	for key, row := range k.rows {
		if row.broken != nil {
			broken[key] = row.broken
		}
	}
	return broken
}
