package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
)

// Settle implements [dedupe.Claimer]. It costs one round trip, and another when the server counts
// fewer rows than there are settlements.
func (s *Store) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	for i := range ss {
		if err := checkSettlement(&ss[i]); err != nil {
			return nil, fmt.Errorf("dedupe/mongo: settle: settlement %d of %d: %w", i+1, len(ss), err)
		}
	}
	return inBatches(ctx, s, "settle", ss, func(ctx context.Context, batch []dedupe.Settlement, errs []error) error {
		err := s.settleBatch(ctx, batch, errs)
		if err != nil {
			s.endLocking(ctx, ss, err)
		}
		return err
	})
}

func checkSettlement(t *dedupe.Settlement) error {
	switch {
	case t.Outcome > dedupe.DeadLettered:
		return fmt.Errorf("the Outcome is %d; the last one known is %d", t.Outcome, dedupe.DeadLettered)
	case t.TTL <= 0:
		return fmt.Errorf("the TTL is %v; it must be positive", t.TTL)
	case t.Outcome == dedupe.GivenUp && t.Lease <= 0:
		return fmt.Errorf("the Lease is %v; it must be positive", t.Lease)
	case t.Outcome == dedupe.GivenUp && !utf8.ValidString(t.Letter):
		return fmt.Errorf("the Letter is %q; it must be UTF-8", t.Letter)
	}
	return nil
}

func (s *Store) settleBatch(ctx context.Context, ss []dedupe.Settlement, errs []error) error {
	keys := mapEach(ss, func(t dedupe.Settlement) string { return keyID(t.Claim.Key) })
	restored := func(i int, expired *storedRow) func(serverclock.Instant) bson.D {
		return settledRow(&ss[i], keys[i], expired)
	}
	return s.changeClaims(ctx, groupAlike(ss, keys), keys, errs, restored, func(i int, r *storedRow) error {
		return classifySettled(&ss[i], r)
	})
}

// groupAlike makes one change of the settlements that are alike. Rows, and changes by their first
// row, are in the order of their ids: see insertFresh.
func groupAlike(ss []dedupe.Settlement, keys []string) []*rowChange {
	type likeness struct {
		outcome    dedupe.Outcome
		after, ttl time.Duration
	}
	var changes []*rowChange
	alike := make(map[likeness]*rowChange)
	for _, i := range sortedPlaces(keys) {
		t := &ss[i]
		l := likeness{t.Outcome, t.After, t.TTL}
		c := alike[l]
		if c == nil || t.Outcome == dedupe.GivenUp || t.Attempt != nil {
			c = &rowChange{phases: []dedupe.Phase{t.Outcome.From()}, update: settleUpdate(t)}
			changes = append(changes, c)
			if t.Attempt == nil {
				alike[l] = c
			}
		}
		c.addRow(i, keys[i])
		c.owners = append(c.owners, t.Claim.Nonce)
	}
	return changes
}

// sortedPlaces are the places of keys in their order.
func sortedPlaces(keys []string) []int {
	at := make([]int, len(keys))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(a, b int) int { return strings.Compare(keys[a], keys[b]) })
	return at
}

// settleUpdate is what an outcome changes. Owner, token, hash and counts stay in the row: deleting
// them would let a stale claim match.
func settleUpdate(t *dedupe.Settlement) bson.A {
	fields := []bson.E{expr.Field("expireAt", expr.NowPlus(t.TTL)), expr.Field("state", t.Outcome.To().String())}
	switch t.Outcome {
	case dedupe.Failed, dedupe.NotBegun:
		fields = append(fields, expr.Field("lease_until", expr.NowPlus(max(0, t.After))))
	case dedupe.GivenUp:
		fields = append(fields, expr.Field("lease_until", expr.NowPlus(t.Lease)), expr.Field("reason", expr.Literal(keptReason(t.Reason))), expr.Field("letter", expr.Literal(t.Letter)))
	case dedupe.Succeeded, dedupe.DeadLettered:
	}
	if t.AddsAttempt() {
		fields = append(fields, expr.Field("attempts", expr.Plus("attempts", attemptsAdded(t.Attempt))))
	}
	if t.Attempt != nil {
		fields = append(fields, expr.Field("history", appendedHistory(t.Attempt)))
	}
	return bson.A{expr.Set(fields...)}
}

// classifySettled judges a settlement by the row as it is afterwards: a repeat finds itself
// applied, a stale one another's claim.
func classifySettled(t *dedupe.Settlement, r *storedRow) error {
	switch {
	case t.Claim.Nonce == "":
		return dedupe.ErrSuperseded
	case r.isAbsent():
		return errUncounted
	case r.owner != t.Claim.Nonce:
		return dedupe.ErrSuperseded
	case r.phase == t.Outcome.From():
		return errUncounted
	case !t.Outcome.HasLedTo(r.phase):
		return dedupe.ErrSuperseded
	}
	return nil
}

// errUncounted is of one item, which is repeated.
var errUncounted = errors.New("the row was not counted, and yet is there to be changed")

// keptReason is a reason as it is kept: in UTF-8, as BSON demands.
func keptReason(s string) string {
	return dedupe.TrimReason(strings.ToValidUTF8(s, "\uFFFD"), dedupe.MaxReason)
}
