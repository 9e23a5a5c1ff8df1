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
	// shortly is answered as HeldFor where the holder cannot be seen.
	shortly = 50 * time.Millisecond
	// newerFor is answered as HeldFor of a row whose state this version does not know: it is left
	// to the version that wrote it.
	newerFor = 5 * time.Second
)

// pending is a request on its way to an answer.
type pending struct {
	req   *dedupe.Request
	id    string
	claim *dedupe.Claim
}

// Claim implements [dedupe.Claimer]. Fresh keys cost one round trip together; duplicates one more,
// and what is taken over one or two.
func (s *Store) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	for i := range rs {
		if err := check(&rs[i]); err != nil {
			return nil, fmt.Errorf("dedupe/mongo: claim: request %d of %d: %w", i+1, len(rs), err)
		}
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	out := make([]dedupe.Claim, len(rs))
	for from := 0; from < len(rs); from += maxBatch {
		to := min(from+maxBatch, len(rs))
		if err := s.claimBatch(ctx, rs[from:to], out[from:to]); err != nil {
			return nil, s.failed("claim", err)
		}
	}
	return out, nil
}

func check(q *dedupe.Request) error {
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
	rest := make([]*pending, 0, len(rs))
	for i := range rs {
		p := &pending{req: &rs[i], id: keyID(rs[i].Key), claim: &out[i]}
		if err := dedupe.CheckHash(rs[i].Hash); err != nil {
			p.fail(err)
			continue
		}
		rest = append(rest, p)
	}
	for len(rest) > 0 {
		first := make(map[string]*pending, len(rest))
		var wave, copies []*pending
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
		rest = rest[:0]
		for _, p := range copies {
			if !p.after(first[p.id].claim) {
				rest = append(rest, p)
			}
		}
	}
	return nil
}

// after answers a request from what an earlier one of the same key and batch was answered. False:
// it has to ask, since the earlier one had another payload than the row, and this one has not.
func (p *pending) after(c *dedupe.Claim) bool {
	if c.Err != nil {
		p.fail(c.Err)
		return true
	}
	same := *c
	same.Nonce, same.Reason, same.Letter = p.req.Nonce, "", ""
	switch {
	case dedupe.Differ(c.Hash, p.req.Hash):
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
func (s *Store) claimWave(ctx context.Context, ps []*pending) error {
	for try := 0; ; try++ {
		taken, err := s.insert(ctx, ps)
		if err != nil {
			return err
		}
		if ps, err = s.resolve(ctx, taken); err != nil {
			return err
		}
		if len(ps) == 0 {
			return nil
		}
		if try == claimTries-1 {
			break
		}
		if err := mongoserver.Pause(ctx, try); err != nil {
			return err
		}
	}
	for _, p := range ps {
		*p.claim = dedupe.Claim{Key: p.req.Key, State: dedupe.Held, Nonce: p.req.Nonce, HeldFor: shortly}
	}
	return nil
}

// insert claims the fresh ones, and returns those whose row is there already. Every command has its
// rows in the order of their ids: DocumentDB locks each until the command ends, and batches that
// share keys would wait for each other in a circle.
func (s *Store) insert(ctx context.Context, ps []*pending) ([]*pending, error) {
	slices.SortFunc(ps, func(a, b *pending) int { return strings.Compare(a.id, b.id) })
	at, err := s.clock.Read(ctx)
	if err != nil {
		return nil, err
	}
	sent := s.clock.Local()
	models := make([]driver.WriteModel, len(ps))
	for i, p := range ps {
		models[i] = driver.NewInsertOneModel().SetDocument(p.document(at))
	}
	res, turned, err := s.write(ctx, models)
	if err != nil {
		return nil, err
	}
	if int(res.InsertedCount)+len(turned) != len(ps) {
		return nil, fmt.Errorf("%d of %d rows inserted and %d turned down; ask again", res.InsertedCount, len(ps), len(turned))
	}
	elapsed := s.clock.Local().Sub(sent)
	for _, p := range ps {
		p.won(elapsed)
	}
	var taken []*pending
	for _, e := range turned {
		if p := ps[e.Index]; mongoserver.Duplicate(e.WriteError) {
			taken = append(taken, p)
		} else {
			p.fail(s.turnedDown(e.WriteError))
		}
	}
	return taken, nil
}

// document is a fresh claim. It carries the server's time as far as it is known, and the doubt is
// added to the lease.
func (p *pending) document(at serverclock.Instant) bson.D {
	d := bson.D{
		expr.Field("_id", p.id),
		expr.Field("state", dedupe.PhaseClaimed.String()),
		expr.Field("owner", p.req.Nonce),
		expr.Field("token", int64(1)),
		expr.Field("lease_until", at.Until(p.req.Lease)),
		expr.Field("attempts", int32(0)),
		expr.Field("crashes", int32(0)),
		expr.Field("since", at.Time),
		expr.Field("expireAt", at.Until(p.req.TTL)),
	}
	if len(p.req.Hash) > 0 {
		d = append(d, expr.Field("hash", p.req.Hash))
	}
	return d
}

// won answers a fresh claim; the lease counts from when it was sent.
func (p *pending) won(elapsed time.Duration) {
	*p.claim = dedupe.Claim{
		Key: p.req.Key, State: dedupe.Fresh, Nonce: p.req.Nonce, Token: 1, HeldFor: max(0, p.req.Lease-elapsed), Hash: p.req.Hash,
	}
}

// fail answers a request that the store could not carry out.
func (p *pending) fail(why error) {
	*p.claim = dedupe.Claim{Key: p.req.Key, Nonce: p.req.Nonce, Err: why}
}

func ids(ps []*pending) []string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = p.id
	}
	return out
}
