package kv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/serverclock"
)

const (
	// contendedFor is how long a claim is answered held when others were faster all the time.
	contendedFor = 50 * time.Millisecond
	// newerFor is how long one is answered held whose row only a later version of this
	// package can read.
	newerFor = 5 * time.Second
)

// Claim implements dedupe.Claimer. A batch of keys that are all absent takes one round trip; the
// others take two more.
func (s *Store) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	defer cancel()
	if len(rs) > 0 {
		s.warnOfPings(rs[0].Lease) // a subscription asks for one length only
	}
	claims := make([]dedupe.Claim, len(rs))
	changes := make([]claiming, len(rs))
	turns := make([]turn, len(rs))
	for i := range rs {
		key := eventKey(rs[i].Key)
		changes[i] = claiming{store: s, key: key, request: &rs[i], claim: &claims[i]}
		// Most keys are new: the first try takes that for granted, and creates.
		turns[i] = turn{key: key, change: &changes[i], known: true, guess: true}
	}
	if err := s.converge(ctx, turns); err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	return claims, nil
}

type claiming struct {
	store   *Store
	key     string
	request *dedupe.Request
	claim   *dedupe.Claim
}

func (c *claiming) decide(e entry, now serverclock.Instant) *row {
	r := c.request
	if e.err != nil {
		c.unreadable(e.err)
		return nil
	}
	e = e.at(now.Earliest())
	if err := dedupe.CheckHash(r.Hash); err != nil {
		c.refuse(err)
		return nil
	}
	if e.row == nil {
		return &row{Phase: dedupe.PhaseClaimed, Owner: r.Nonce, Span: r.Lease, TTL: r.TTL, Hash: r.Hash}
	}
	step, state := dedupe.DecideClaim(e.row.Phase, e.owned(r.Nonce), e.row.Hash, e.left(now), r.Hash)
	switch step {
	case dedupe.RenewClaim:
		return c.renewal(e)
	case dedupe.TakeOver:
		return c.takeover(e)
	case dedupe.LeaveRow, dedupe.CreateRow:
	}
	c.answer(e, state, now)
	if state == dedupe.Held {
		c.claim.HeldFor = e.left(now)
	}
	return nil
}

// renewal answers a request that is repeated, and was served before.
func (c *claiming) renewal(e entry) *row {
	next := e.next()
	next.Span, next.TTL = c.request.Lease, c.request.TTL
	return next
}

// takeover makes the request the owner of what is due, or whose lease is over.
func (c *claiming) takeover(e entry) *row {
	next := c.renewal(e)
	next.Owner, next.Token = c.request.Nonce, 0
	if len(next.Hash) == 0 {
		next.Hash = c.request.Hash
	}
	switch next.Phase {
	case dedupe.PhaseClaimed:
		next.Crashes++
	case dedupe.PhaseFree:
		next.Phase = dedupe.PhaseClaimed
	case dedupe.PhaseDeadLettering, dedupe.PhaseDone, dedupe.PhaseDead:
	}
	return next
}

func (c *claiming) kept(e entry) {
	state := dedupe.Fresh
	if e.row.Phase == dedupe.PhaseDeadLettering {
		state = dedupe.DeadLettering
	}
	c.answer(e, state, serverclock.Instant{Time: e.stored})
	c.claim.HeldFor = e.row.Span
	c.store.holding.keep(c.key, e)
}

func (c *claiming) answer(e entry, state dedupe.State, now serverclock.Instant) {
	*c.claim = dedupe.Claim{
		Key: c.request.Key, Nonce: c.request.Nonce, State: state, Token: e.token(), Age: max(0, now.Time.Sub(e.since())),
		Hash: e.row.Hash, Attempts: e.row.Attempts, Crashes: e.row.Crashes,
	}
	if state == dedupe.DeadLettering {
		c.claim.Reason, c.claim.Letter = e.row.Reason, e.row.Letter
	}
}

// unreadable refuses a key that holds what nobody can judge, so that the event is put aside with
// that reason; what a later version wrote is left to processes of that version.
func (c *claiming) unreadable(err error) {
	if errors.Is(err, errNewer) {
		c.held(newerFor)
		return
	}
	c.refuse(fmt.Errorf("%w: %w", dedupe.ErrKeyRefused, err))
}

func (c *claiming) tighten() bool { return false }

func (c *claiming) failed(err error) {
	if errors.Is(err, ErrContended) {
		c.held(contendedFor)
	} else {
		c.refuse(err)
	}
}

func (c *claiming) held(d time.Duration) {
	*c.claim = dedupe.Claim{Key: c.request.Key, Nonce: c.request.Nonce, State: dedupe.Held, HeldFor: d}
}

func (c *claiming) refuse(err error) {
	*c.claim = dedupe.Claim{Key: c.request.Key, Nonce: c.request.Nonce, Err: err}
}
