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
)

// Settle implements [dedupe.Claimer]. It costs one round trip, and another when the server counts
// fewer rows than there are settlements.
func (s *Store) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	for i := range ss {
		if err := checkSettlement(&ss[i]); err != nil {
			return nil, fmt.Errorf("dedupe/mongo: settle: settlement %d of %d: %w", i+1, len(ss), err)
		}
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	errs := make([]error, len(ss))
	for from := 0; from < len(ss); from += maxBatch {
		to := min(from+maxBatch, len(ss))
		if err := s.settleBatch(ctx, ss[from:to], errs[from:to]); err != nil {
			s.endLocking(ctx, ss, err)
			return nil, s.failed("settle", err)
		}
	}
	return errs, nil
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
	keys := make([]string, len(ss))
	for i := range ss {
		keys[i] = keyID(ss[i].Claim.Key)
	}
	matched, err := s.apply(ctx, grouped(ss, keys), errs)
	if err != nil || matched == len(ss) {
		return err
	}
	rows, err := read(ctx, s.own, keys)
	if err != nil {
		return err
	}
	var gone []*lost
	for i := range ss {
		switch r := rows[keys[i]]; {
		case errs[i] != nil:
		case r.absent() && ss[i].Claim.Nonce != "":
			gone = append(gone, &lost{item: i, id: keys[i], expired: r, owner: ss[i].Claim.Nonce, document: settledRow(&ss[i], keys[i], r)})
		default:
			errs[i] = settled(&ss[i], r)
		}
	}
	back, err := s.restore(ctx, gone, errs)
	for _, l := range back {
		errs[l.item] = settled(&ss[l.item], l.found)
	}
	return err
}

// grouped makes one change of the settlements that are alike. Rows, and changes by their first row,
// are in the order of their ids: see insert.
func grouped(ss []dedupe.Settlement, keys []string) []*change {
	type likeness struct {
		outcome    dedupe.Outcome
		after, ttl time.Duration
	}
	var changes []*change
	alike := make(map[likeness]*change)
	for _, i := range inOrder(keys) {
		t := &ss[i]
		l := likeness{t.Outcome, t.After, t.TTL}
		c := alike[l]
		if c == nil || t.Outcome == dedupe.GivenUp {
			c = &change{phases: []dedupe.Phase{t.Outcome.From()}, update: update(t)}
			changes, alike[l] = append(changes, c), c
		}
		c.add(i, keys[i])
		c.owners = append(c.owners, t.Claim.Nonce)
	}
	return changes
}

// inOrder are the places of keys in their order.
func inOrder(keys []string) []int {
	at := make([]int, len(keys))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(a, b int) int { return strings.Compare(keys[a], keys[b]) })
	return at
}

// update is what an outcome changes. Owner, token, hash and counts stay in the row: deleting them
// would let a stale claim match.
func update(t *dedupe.Settlement) bson.A {
	fields := []bson.E{expr.Field("expireAt", expr.NowPlus(t.TTL)), expr.Field("state", t.Outcome.To().String())}
	switch t.Outcome {
	case dedupe.Failed, dedupe.NotBegun:
		fields = append(fields, expr.Field("lease_until", expr.NowPlus(max(0, t.After))))
	case dedupe.GivenUp:
		fields = append(fields, expr.Field("lease_until", expr.NowPlus(t.Lease)), expr.Field("reason", expr.Literal(reason(t.Reason))), expr.Field("letter", expr.Literal(t.Letter)))
	case dedupe.Succeeded, dedupe.DeadLettered:
	}
	if t.AddsAttempt() {
		fields = append(fields, expr.Field("attempts", expr.Plus("attempts", int64(1))))
	}
	return bson.A{expr.Set(fields...)}
}

// settled judges a settlement by the row as it is afterwards: a repeat finds itself applied, a
// stale one another's claim.
func settled(t *dedupe.Settlement, r *row) error {
	switch {
	case t.Claim.Nonce == "":
		return dedupe.ErrSuperseded
	case r.absent():
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

// reason is a reason as it is kept: in UTF-8, as BSON demands.
func reason(s string) string {
	return dedupe.TrimReason(strings.ToValidUTF8(s, "\uFFFD"), dedupe.MaxReason)
}
