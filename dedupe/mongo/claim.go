package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
)

const (
	// claimTries bounds how often a row is looked for that can be neither inserted nor read.
	claimTries = 4
	// heldBriefly is answered as HeldFor where the holder cannot be seen.
	heldBriefly = 50 * time.Millisecond
	// newerFor is answered as HeldFor of a row whose state this version does not know: it is left
	// to the version that wrote it.
	newerFor = 5 * time.Second
)

// pendingClaim is a request on its way to an answer.
type pendingClaim struct {
	request *dedupe.Request
	id      string
	claim   *dedupe.Claim
}

func (p *pendingClaim) rowID() string { return p.id }

// Claim implements [dedupe.Claimer]. Fresh keys cost one round trip together; duplicates one more,
// and what is taken over one or two.
func (s *Store) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	for i := range rs {
		if err := checkRequest(&rs[i]); err != nil {
			return nil, fmt.Errorf("dedupe/mongo: claim: request %d of %d: %w", i+1, len(rs), err)
		}
	}
	return inBatches(ctx, s, "claim", rs, s.claimBatch)
}

func checkRequest(q *dedupe.Request) error {
	switch {
	case q.Nonce == "" || !utf8.ValidString(q.Nonce):
		return fmt.Errorf("the Nonce is %q; it must be UTF-8 and not empty", q.Nonce)
	case q.Lease <= 0:
		return fmt.Errorf("the Lease is %v; it must be positive", q.Lease)
	case q.TTL <= q.Lease:
		return fmt.Errorf("the TTL is %v; it must be longer than the Lease of %v", q.TTL, q.Lease)
	}
	return nil
}

// claimBatch claims the first request of each key; later ones of the same key are told
// from its answer.
func (s *Store) claimBatch(ctx context.Context, rs []dedupe.Request, out []dedupe.Claim) error {
	rest := make([]*pendingClaim, 0, len(rs))
	for i := range rs {
		p := &pendingClaim{request: &rs[i], id: keyID(rs[i].Key), claim: &out[i]}
		if err := dedupe.CheckHash(rs[i].Hash); err != nil {
			p.setError(err)
			continue
		}
		rest = append(rest, p)
	}
	for len(rest) > 0 {
		first := make(map[string]*pendingClaim, len(rest))
		var wave, copies []*pendingClaim
		for _, p := range rest {
			if _, ok := first[p.id]; ok {
				copies = append(copies, p)
				continue
			}
			first[p.id] = p
			wave = append(wave, p)
		}
		if err := s.claimWave(ctx, wave); err != nil {
			return err
		}
		rest = slices.DeleteFunc(copies, func(p *pendingClaim) bool { return p.answerFromCopy(first[p.id].claim) })
	}
	return nil
}

// answerFromCopy answers a request from what an earlier one of the same key and batch was
// answered. False: it has to ask, since the earlier one had another payload than the row, and
// this one has not.
func (p *pendingClaim) answerFromCopy(c *dedupe.Claim) bool {
	if c.Err != nil {
		p.setError(c.Err)
		return true
	}
	same := *c
	same.Nonce, same.Reason, same.Letter, same.History = p.request.Nonce, "", "", nil
	switch {
	case dedupe.Differ(c.Hash, p.request.Hash):
		same.State = dedupe.Reused
	case c.State == dedupe.Reused:
		return false
	case c.State == dedupe.Fresh || c.State == dedupe.DeadLettering:
		same.State = dedupe.Held
	}
	*p.claim = same
	return true
}

// claimWave claims keys that differ. A row may be neither insertable nor readable: it was just
// removed, or inserted and not yet with the majority. Others may be faster. It is tried again, and
// then answered held for a moment.
func (s *Store) claimWave(ctx context.Context, ps []*pendingClaim) error {
	for try := 0; ; try++ {
		taken, err := s.insertFresh(ctx, ps)
		if err != nil {
			return err
		}
		if len(taken) == 0 {
			return nil
		}
		if ps, err = s.resolveTaken(ctx, taken); err != nil || len(ps) == 0 {
			return err
		}
		if try == claimTries-1 {
			break
		}
		if err := mongoserver.Pause(ctx, try); err != nil {
			return err
		}
	}
	for _, p := range ps {
		p.holdFor(heldBriefly)
	}
	return nil
}

// insertFresh claims the fresh ones, and returns those whose row is there already. Every command
// has its rows in the order of their ids: DocumentDB locks each until the command ends, and batches
// that share keys would wait for each other in a circle.
func (s *Store) insertFresh(ctx context.Context, ps []*pendingClaim) ([]*pendingClaim, error) {
	slices.SortFunc(ps, func(a, b *pendingClaim) int { return strings.Compare(a.id, b.id) })
	at, err := s.clock.Read(ctx)
	if err != nil {
		return nil, err
	}
	sent := s.clock.Local()
	taken, err := insertNew(ctx, s, "rows", ps, func(p *pendingClaim) bson.D { return p.freshDocument(at) }, (*pendingClaim).setError)
	if err != nil {
		return nil, err
	}
	elapsed := s.clock.Local().Sub(sent) // from when it was sent the lease counts
	for _, p := range ps {
		if p.claim.Err == nil {
			*p.claim = dedupe.Claim{
				Key: p.request.Key, State: dedupe.Fresh, Nonce: p.request.Nonce, Token: 1, HeldFor: max(0, p.request.Lease-elapsed), Hash: p.request.Hash,
			}
		}
	}
	return taken, nil
}

// insertNew inserts the documents of items in one command. Returned are the items whose row is
// there already; refuse is told why the server turned others down.
func insertNew[T any](ctx context.Context, s *Store, what string, items []T, document func(T) bson.D, refuse func(T, error)) (taken []T, err error) {
	models := mapEach(items, func(item T) driver.WriteModel { return driver.NewInsertOneModel().SetDocument(document(item)) })
	res, turned, err := s.writeEach(ctx, models)
	if err != nil {
		return nil, err
	}
	if int(res.InsertedCount)+len(turned) != len(items) {
		return nil, fmt.Errorf("%d of %d %s inserted and %d turned down; retry", res.InsertedCount, len(items), what, len(turned))
	}
	for _, e := range turned {
		if item := items[e.Index]; mongoserver.Duplicate(e.WriteError) {
			taken = append(taken, item)
		} else {
			refuse(item, s.itemError(e.WriteError))
		}
	}
	return taken, nil
}

// freshDocument is a fresh claim. It carries the server's time as far as it is known, and the doubt
// is added to the lease.
func (p *pendingClaim) freshDocument(at serverclock.Instant) bson.D {
	d := bson.D{
		expr.Field("_id", p.id),
		expr.Field("state", dedupe.PhaseClaimed.String()),
		expr.Field("owner", p.request.Nonce),
		expr.Field("token", int64(1)),
		expr.Field("lease_until", at.Until(p.request.Lease)),
		expr.Field("attempts", int32(0)),
		expr.Field("crashes", int32(0)),
		expr.Field("since", at.Time),
		expr.Field("expireAt", at.Until(p.request.TTL)),
	}
	if len(p.request.Hash) > 0 {
		d = append(d, expr.Field("hash", p.request.Hash))
	}
	return d
}

// holdFor answers that the claim is another's for the moment.
func (p *pendingClaim) holdFor(d time.Duration) {
	*p.claim = dedupe.Claim{Key: p.request.Key, State: dedupe.Held, Nonce: p.request.Nonce, HeldFor: d}
}

func (p *pendingClaim) setError(why error) {
	*p.claim = dedupe.Claim{Key: p.request.Key, Nonce: p.request.Nonce, Err: why}
}
