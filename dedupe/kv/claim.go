package kv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/natsserver"
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
	if len(rs) > 0 {
		s.warnOfPings(rs[0].Lease) // a subscription asks for one length only
	}
	claims := make([]dedupe.Claim, len(rs))
	changes := make([]claimChange, len(rs))
	turns := make([]casOp, len(rs))
	for i := range rs {
		key := eventKey(rs[i].Key)
		changes[i] = claimChange{store: s, key: key, request: &rs[i], claim: &claims[i]}
		// Most keys are new: the first try takes that for granted, and creates.
		turns[i] = casOp{key: key, change: &changes[i], isKnown: true, isGuess: true}
	}
	if err := s.runOps(ctx, "claim", turns); err != nil {
		return nil, err
	}
	return claims, nil
}

// warnOfPings warns once when leases may end before the connection notices that its
// server is frozen.
func (s *Store) warnOfPings(lease time.Duration) {
	o := &s.nc.Opts
	if !natsserver.NoticesTooLate(o, lease) || s.warnedOfPings.Swap(true) {
		return
	}
	do := "connect with jetstream.ConnectionOptions for this lease, or raise it"
	if natsserver.NoticesAsEarlyAsPossible(o, lease) {
		do = "raise the lease"
	}
	s.log.Warn("a frozen NATS server is noticed so late that leases end first, and their events run again: "+do,
		"lease", lease, "at_least", natsserver.ShortestLength(o), "noticed_within", natsserver.NoticesWithin(o), "bucket", s.bucket)
}

type claimChange struct {
	store   *Store
	key     string
	request *dedupe.Request
	claim   *dedupe.Claim
}

func (c *claimChange) decideRow(e keyEntry, now serverclock.Instant) *keyRow {
	r := c.request
	if e.err != nil {
		c.answerUnreadable(e.err)
		return nil
	}
	e = e.asOf(now.Earliest())
	if err := dedupe.CheckHash(r.Hash); err != nil {
		c.answerError(err)
		return nil
	}
	if e.row == nil {
		return &keyRow{Phase: dedupe.PhaseClaimed, Owner: r.Nonce, Span: r.Lease, TTL: r.TTL, Hash: r.Hash}
	}
	step, state := dedupe.DecideClaim(e.row.Phase, e.ownedBy(r.Nonce), e.row.Hash, e.timeLeft(now), r.Hash)
	switch step {
	case dedupe.RenewClaim:
		return e.renewedRow(r.Lease, r.TTL)
	case dedupe.TakeOver:
		return c.takenOverRow(e)
	case dedupe.LeaveRow, dedupe.CreateRow:
	}
	c.setAnswer(e, state, now)
	if state == dedupe.Held {
		c.claim.HeldFor = e.timeLeft(now)
	}
	return nil
}

// takenOverRow makes the request the owner of what is due, or whose lease is over.
func (c *claimChange) takenOverRow(e keyEntry) *keyRow {
	next := e.renewedRow(c.request.Lease, c.request.TTL)
	next.Owner, next.Token = c.request.Nonce, 0
	if len(next.Hash) == 0 {
		next.Hash = c.request.Hash
	}
	switch next.Phase {
	case dedupe.PhaseClaimed:
		next.Crashes++
	case dedupe.PhaseFree:
		next.Phase = dedupe.PhaseClaimed
	case dedupe.PhaseAbsent, dedupe.PhaseDeadLettering, dedupe.PhaseDone, dedupe.PhaseDead:
	}
	return next
}

func (c *claimChange) onKept(e keyEntry) {
	state := dedupe.Fresh
	if e.row.Phase == dedupe.PhaseDeadLettering {
		state = dedupe.DeadLettering
	}
	c.setAnswer(e, state, serverclock.Instant{Time: e.stored})
	c.claim.HeldFor, c.claim.History = e.row.Span, slices.Clone(e.row.History)
	c.store.claims.rememberClaim(c.key, e)
}

func (c *claimChange) setAnswer(e keyEntry, state dedupe.State, now serverclock.Instant) {
	*c.claim = dedupe.Claim{
		Key: c.request.Key, Nonce: c.request.Nonce, State: state, Token: e.claimToken(), Age: max(0, now.Time.Sub(e.claimedSince())),
		Hash: e.row.Hash, Attempts: e.row.Attempts, Crashes: e.row.Crashes, Note: e.row.Note,
	}
	if state == dedupe.DeadLettering {
		c.claim.Reason, c.claim.Letter = e.row.Reason, e.row.Letter
	}
}

// answerUnreadable refuses a key that holds what nobody can judge, so that the event is put aside
// with that reason; what a later version wrote is left to processes of that version.
func (c *claimChange) answerUnreadable(err error) {
	if errors.Is(err, errNewer) {
		c.answerHeld(newerFor)
		return
	}
	c.answerError(fmt.Errorf("%w: %w", dedupe.ErrKeyRefused, err))
}

func (c *claimChange) onFailed(err error) {
	if errors.Is(err, ErrContended) {
		c.answerHeld(contendedFor)
	} else {
		c.answerError(err)
	}
}

func (c *claimChange) answerHeld(d time.Duration) {
	*c.claim = dedupe.Claim{Key: c.request.Key, Nonce: c.request.Nonce, State: dedupe.Held, HeldFor: d}
}

func (c *claimChange) answerError(err error) {
	*c.claim = dedupe.Claim{Key: c.request.Key, Nonce: c.request.Nonce, Err: err}
}
