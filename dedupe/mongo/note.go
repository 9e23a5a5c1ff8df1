package mongo

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
)

// Note implements [dedupe.Noter], at the cost of Extend. Equal texts are one update.
func (s *Store) Note(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) ([]error, error) {
	if lease <= 0 || ttl <= lease {
		return nil, fmt.Errorf("dedupe/mongo: note: the lease is %v and the TTL %v; both must be positive, and the TTL the longer one", lease, ttl)
	}
	return inBatches(ctx, s, "note", ns, func(ctx context.Context, ns []dedupe.Note, errs []error) error {
		return s.noteBatch(ctx, ns, errs, lease, ttl)
	})
}

func (s *Store) noteBatch(ctx context.Context, ns []dedupe.Note, errs []error, lease, ttl time.Duration) error {
	fine, places := checkNotes(ns, errs)
	if len(fine) == 0 {
		return nil
	}
	cs := mapEach(fine, func(n dedupe.Note) dedupe.Claim {
		n.Claim.Note = n.Text // for a row that is written again
		return n.Claim
	})
	ids := mapEach(cs, func(c dedupe.Claim) string { return keyID(c.Key) })
	noted := make([]error, len(fine))
	restored := func(i int, expired *storedRow) func(serverclock.Instant) bson.D {
		return leasedRow(&cs[i], ids[i], expired, lease, ttl)
	}
	err := s.changeClaims(ctx, noteChanges(fine, ids, lease, ttl), ids, noted, restored, func(i int, r *storedRow) error {
		return judgeLeased(cs[i].Nonce, r)
	})
	for i, at := range places {
		errs[at] = noted[i]
	}
	return err
}

// checkNotes returns the notes whose texts can be kept, and their places. The others get their
// error.
func checkNotes(ns []dedupe.Note, errs []error) (fine []dedupe.Note, places []int) {
	for i := range ns {
		if errs[i] = dedupe.CheckNote(ns[i].Text); errs[i] == nil {
			fine, places = append(fine, ns[i]), append(places, i)
		}
	}
	return fine, places
}

// noteChanges are in the order of their rows' ids: see insertFresh.
func noteChanges(ns []dedupe.Note, ids []string, lease, ttl time.Duration) (changes []*rowChange) {
	byText := make(map[string]*rowChange)
	for _, i := range sortedPlaces(ids) {
		c := byText[ns[i].Text]
		if c == nil {
			c = &rowChange{phases: []dedupe.Phase{dedupe.PhaseClaimed, dedupe.PhaseDeadLettering}, update: bson.A{expr.Set(
				expr.Field("lease_until", expr.NowPlus(lease)), expr.Field("expireAt", expr.NowPlus(ttl)), expr.Field("note", expr.Literal(ns[i].Text)),
			)}}
			byText[ns[i].Text] = c
			changes = append(changes, c)
		}
		c.addRow(i, ids[i])
		c.owners = append(c.owners, ns[i].Claim.Nonce)
	}
	return changes
}
