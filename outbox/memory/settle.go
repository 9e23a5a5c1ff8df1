package memory

import (
	"context"
	"strings"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/outbox"
)

// Settle implements outbox.Queue.
func (q *Queue) Settle(ctx context.Context, rs []outbox.Result) ([]bool, error) {
	now, end, err := q.beginCall(ctx, "settle")
	if err != nil {
		return nil, err
	}
	defer end()
	oks := make([]bool, len(rs))
	for i := range rs {
		oks[i] = q.settleRow(&rs[i], now)
	}
	return oks, nil
}

func (q *Queue) settleRow(s *outbox.Result, now time.Time) bool {
	r := q.rows[s.ID]
	switch {
	case r == nil:
		return false
	case r.Version == s.Version+1 && r.Status == s.Outcome.Status():
		return true // a repeat
	case r.Version != s.Version || r.Status != outbox.Pending || !s.Lease.Until.After(now):
		return false
	}
	if s.Outcome == outbox.Refused || s.Outcome == outbox.GivenUp {
		r.Reason = strings.Clone(dedupe.TrimReason(s.Reason, outbox.MaxReason))
	}
	switch s.Outcome {
	case outbox.Confirmed:
		r.Sent = now
	case outbox.Refused:
		r.Attempts++
		r.due = now.Add(max(0, s.After))
	case outbox.GivenUp:
		if s.Attempt {
			r.Attempts++
		}
	}
	q.setStatus(r, s.Outcome.Status())
	return true
}
