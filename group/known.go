package group

import (
	"cmp"
	"errors"
	"fmt"
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
	scopeRow

	ends time.Time // by the local clock; zero: it does not end by itself
}

// update takes in a listing, and returns why rows cannot be read that could be before. The local
// time at which it was read relates its times to the local clock.
func (k *knownPauses) update(l *Listing, local time.Time) (broken error) {
	rows := make(map[string]knownRow, len(l.Rows))
	for _, row := range l.Rows {
		parsed, err := parseScopeRow(&row)
		known := knownRow{scopeRow: parsed}
		if !parsed.Until.IsZero() {
			known.ends = local.Add(parsed.Until.Sub(l.Now))
		}
		if err != nil {
			known = k.keep(&row, err)
			if !k.rows[row.Key].Unreadable {
				broken = errors.Join(broken, fmt.Errorf("%q: %w", row.Key, err))
			}
		}
		rows[row.Key] = known
	}
	k.rows = rows
	k.applied = Applied{Incarnation: l.Incarnation, Revision: l.Revision}
	return broken
}

// keep returns what the row that was read last says: it holds while a later one cannot be read. If
// there was none, the row pauses.
func (k *knownPauses) keep(row *Row, err error) knownRow {
	known, ok := k.rows[row.Key]
	if !ok {
		pauses := true
		known.scopeRow = scopeRow{Pauses: &pauses, Paused: Paused{
			Topic: topicOf(row.Key), Since: row.Stored, Reason: err.Error(), Revision: row.Revision,
		}}
	}
	known.Unreadable = true
	return known
}

// inForce returns the pauses that hold at a local time, by topic.
func (k *knownPauses) inForce(local time.Time) []Paused {
	var paused []Paused
	for _, row := range k.rows {
		if *row.Pauses && (row.ends.IsZero() || local.Before(row.ends)) {
			paused = append(paused, row.Paused)
		}
	}
	slices.SortFunc(paused, func(a, b Paused) int { return cmp.Compare(a.Topic, b.Topic) })
	return paused
}

// nextEnd returns how long after a local time the next pause ends by itself, and limit at most.
func (k *knownPauses) nextEnd(local time.Time, limit time.Duration) time.Duration {
	for _, row := range k.rows {
		if left := row.ends.Sub(local); *row.Pauses && !row.ends.IsZero() && left > 0 {
			limit = min(limit, left)
		}
	}
	return limit
}
