package deferral

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// Waiting is what waits for its summary under one key.
type Waiting struct {
	Key string
	// Events is how many events wait, and Oldest when the first of them was stored.
	Events int
	Oldest time.Time

	entries []entry
}

// List returns what waits on the topic of deferred events of a group, the longest waiting key
// first. It reads the headers of the topic from the group's watermark on, and asks the store which
// events are done. It changes nothing, and blocks until it has read all.
func List(ctx context.Context, b bus.Bus, store dedupe.Store, group, topic string) ([]Waiting, error) {
	reader, ok := b.(eventReader)
	marks, keeps := store.(storage)
	if !ok || !keeps {
		return nil, fmt.Errorf("%w: deferred events are read by a bus.Reader, and their decisions kept by a dedupe.Noter: %T, %T", errors.ErrUnsupported, b, store)
	}
	if _, err := b.Topic(ctx, topic, group, bus.Start{}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTopic, err)
	}
	t := &Tracker{bus: reader, store: marks, group: group, topic: topic, index: newIndex(), config: Config{Interval: maxInterval}}
	t.ticks = newTicker(t)
	if err := t.catchUp(ctx); err != nil {
		return nil, err
	}
	byKey := make(map[string]*Waiting)
	for key, k := range t.index.keys {
		w := &Waiting{Key: key, Events: len(k.entries), entries: k.entries}
		for i := range k.entries {
			if at := k.entries[i].at.Stored; w.Oldest.IsZero() || at.Before(w.Oldest) {
				w.Oldest = at
			}
		}
		byKey[key] = w
	}
	all := make([]Waiting, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		all = append(all, *byKey[key])
	}
	slices.SortStableFunc(all, func(a, b Waiting) int { return a.Oldest.Compare(b.Oldest) })
	return all, nil
}

// Flush has the process that makes summaries make those of all that is deferred by now. It stores
// an event for that on the topic, and does not wait for the summaries. A repeated call makes those
// of what was deferred since.
func Flush(ctx context.Context, p bus.Publisher, topic string) error {
	e := bus.Event{ID: "flush-" + rand.Text(), Topic: topic, Headers: bus.Headers{HeaderFlush: {"1"}}}
	_, err := p.Publish(ctx, e)
	return err
}

// Flush makes due at once what is deferred by now, in this process.
func (t *Tracker) Flush() { t.ticks.flush(t.index.end()) }

// Dropped is what became of events that were to be dropped.
type Dropped struct {
	// Events is how many will be in no summary. Busy is how many are being summed up right now, and
	// are left alone.
	Events, Busy int
}

// Drop marks events as done that wait, as List has returned them: they will be in no summary. Those
// that are being summed up are left alone. ttl is how long marks are kept; 0 is 7 days. It may be
// repeated.
func Drop(ctx context.Context, store dedupe.Store, group, topic string, ttl time.Duration, waiting ...Waiting) (d Dropped, err error) {
	claimer, ok := store.(dedupe.Claimer)
	if !ok {
		return d, fmt.Errorf("%w: a %T cannot claim", ErrStore, store)
	}
	ttl = cmp.Or(ttl, 7*24*time.Hour)
	owner := rand.Text()
	var requests []dedupe.Request
	for i := range waiting {
		for _, e := range waiting[i].entries {
			requests = append(requests, dedupe.Request{
				Key:   dedupe.Key{Topic: topic, Group: group, ID: e.id, Scope: e.scope},
				Nonce: fmt.Sprint(owner, "-", len(requests)), Lease: trackLease, TTL: ttl,
			})
		}
	}
	for some := range slices.Chunk(requests, checkBatch) {
		if err := dropSome(ctx, claimer, some, ttl, &d); err != nil {
			return d, err
		}
	}
	return d, nil
}

func dropSome(ctx context.Context, claimer dedupe.Claimer, requests []dedupe.Request, ttl time.Duration, d *Dropped) error {
	claims, err := claimer.Claim(ctx, requests)
	if err != nil {
		return err
	}
	var ours []dedupe.Settlement
	for _, c := range claims {
		switch {
		case c.Err != nil:
			return c.Err
		case c.State == dedupe.Fresh:
			ours = append(ours, dedupe.Settlement{Claim: c, Outcome: dedupe.Succeeded, TTL: ttl})
		case c.State == dedupe.Held || c.State == dedupe.DeadLettering:
			d.Busy++
		}
	}
	errs, err := claimer.Settle(ctx, ours)
	if err != nil {
		return err
	}
	for _, e := range errs {
		if e == nil {
			d.Events++
		}
	}
	return errors.Join(errs...)
}
