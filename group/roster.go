package group

import (
	"context"
	"errors"
	"slices"
	"time"
)

// expiryMargin is how long after a row should have expired it is looked for.
const expiryMargin = 5 * time.Millisecond

// roster is which members are live, as far as was read. The zero value has read nothing. Not safe
// for concurrent use.
//
// That a member is gone follows only from a reading that began after that of the plan which names
// it: a member that is back changes the plan before it owns anything.
type roster struct {
	expires map[string]time.Time // by the local clock, unless it is renewed
	began   time.Time
	// young is until when nothing follows from a row that is missing, by the local clock: the store
	// was made just now, maybe in the place of another one, and members join again.
	young time.Time
}

// read reads the members if one of a plan is not known to be live, or the last reading is old.
func (r *roster) read(ctx context.Context, s *Session, plan *planRow) error {
	now := s.options.Now()
	unknown := func(m planMember) bool { return !r.expires[m.ID].After(now) }
	if r.expires != nil && elapsed(r.began, now) < s.options.Heartbeat/2 && !unknown(planMember{ID: s.id}) && (plan == nil || !slices.ContainsFunc(plan.Members, unknown)) {
		return nil
	}
	l, err := s.list(ctx, MemberRows)
	if errors.Is(err, ErrNoStore) { // that members are not there says nothing
		r.began, r.expires, r.young = now, map[string]time.Time{}, now.Add(s.options.Heartbeat)
		return nil
	}
	if err != nil {
		return err
	}
	r.began, r.expires = now, make(map[string]time.Time, len(l.Rows))
	for _, row := range l.Rows {
		r.expires[row.Key] = now.Add(row.Stored.Sub(l.Now) + s.store.TTL())
	}
	r.young = now.Add(l.Created.Sub(l.Now) + s.store.TTL())
	return nil
}

// isLive reports whether a member was live when members were read last.
func (r *roster) isLive(id string, now time.Time) bool {
	_, listed := r.expires[id]
	return listed || now.Before(r.young)
}

func (r *roster) hasLive(plan *planRow, now time.Time) bool {
	return slices.ContainsFunc(plan.Members, func(m planMember) bool { return r.isLive(m.ID, now) })
}

// nextExpiry returns how long after a time the next row of a plan's member may expire, and limit at
// most. A plan that is nil has none.
func (r *roster) nextExpiry(plan *planRow, now time.Time, limit time.Duration) time.Duration {
	if plan == nil {
		return limit
	}
	for _, m := range plan.Members {
		at, listed := r.expires[m.ID]
		if !listed && now.Before(r.young) {
			at = r.young
		}
		if listed || now.Before(r.young) {
			limit = min(limit, max(at.Sub(now), 0)+expiryMargin)
		}
	}
	return limit
}
