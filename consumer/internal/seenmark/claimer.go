// Package seenmark makes a dedupe.Claimer of a store that only marks: a claim is a look-up, only
// what is final is written, and nothing is ever lost to another owner. Two concurrent copies of an
// event may both run.
//
// No run is begun that cannot be marked, as far as that can be known: not while the store says that
// it would refuse the mark (dedupe.Record.Err), and not while a mark of this process is refused
// because the store is at its bound, or was not answered.
package seenmark

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// unknownFor is how long a claim is held whose row only a later version can read.
const unknownFor = 5 * time.Second

// Claimer is a dedupe.Claimer over a store that marks. It is safe for concurrent use.
type Claimer struct {
	store dedupe.Store

	mu           sync.Mutex
	refusedMarks map[dedupe.Key]error // marks that were refused for want of room, and are repeated
	markError    error                // of the last call of Mark; nil once one was answered
}

var _ dedupe.Claimer = (*Claimer)(nil)

// New returns a Claimer over store.
func New(store dedupe.Store) *Claimer {
	return &Claimer{store: store, refusedMarks: make(map[dedupe.Key]error)}
}

// Claim implements dedupe.Claimer. It looks up what was seen.
func (c *Claimer) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	keys := make([]dedupe.Key, len(rs))
	for i := range rs {
		keys[i] = rs[i].Key
	}
	records, err := c.store.Seen(ctx, keys)
	if err != nil {
		return nil, err
	}
	if err := CheckParallel("Seen", len(records), len(rs)); err != nil {
		return nil, err
	}
	stopped := c.blockedBy()
	cs := make([]dedupe.Claim, len(rs))
	for i := range rs {
		cs[i] = claimFor(&rs[i], &records[i], stopped)
	}
	return cs, nil
}

// claimFor is the answer to a request, given what was seen.
func claimFor(r *dedupe.Request, seen *dedupe.Record, stopped error) dedupe.Claim {
	c := dedupe.Claim{Key: r.Key, Nonce: r.Nonce, State: dedupe.Fresh, Hash: r.Hash, HeldFor: r.Lease}
	switch {
	case seen.State != dedupe.Fresh && dedupe.Differ(seen.Hash, r.Hash):
		c.State = dedupe.Reused
	case seen.State == dedupe.Done || seen.State == dedupe.Dead:
		c.State = seen.State
	case seen.Err != nil && seen.State == dedupe.Held:
		c.State, c.HeldFor = dedupe.Held, unknownFor
	case seen.Err != nil:
		return dedupe.Claim{Key: r.Key, Nonce: r.Nonce, Err: seen.Err}
	case stopped != nil:
		return dedupe.Claim{Key: r.Key, Nonce: r.Nonce, Err: stopped}
	} // what another mode has claimed may run twice: that is what this mode says
	return c
}

// blockedBy is why nothing may be begun now; nil if it may.
func (c *Claimer) blockedBy() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.markError != nil {
		return fmt.Errorf("nothing is begun until marks are stored again: %w", c.markError)
	}
	for _, err := range c.refusedMarks {
		return fmt.Errorf("nothing is begun until %d marks are stored: %w", len(c.refusedMarks), err)
	}
	return nil
}

// Extend implements dedupe.Claimer. There is nothing to extend.
func (c *Claimer) Extend(_ context.Context, cs []dedupe.Claim, _, _ time.Duration) ([]error, error) {
	return make([]error, len(cs)), nil
}

// Settle implements dedupe.Claimer. It marks what is done or dead.
func (c *Claimer) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	var marks []dedupe.Mark
	var of []int
	for i := range ss {
		m := dedupe.Mark{Key: ss[i].Claim.Key, Hash: ss[i].Claim.Hash, TTL: ss[i].TTL}
		switch ss[i].Outcome {
		case dedupe.Succeeded:
			m.State = dedupe.Done
		case dedupe.DeadLettered:
			m.State = dedupe.Dead
		case dedupe.Failed, dedupe.NotBegun, dedupe.GivenUp:
			continue
		}
		marks, of = append(marks, m), append(of, i)
	}
	errs := make([]error, len(ss))
	if len(marks) == 0 {
		return errs, nil
	}
	answers, err := c.store.Mark(ctx, marks)
	if err == nil {
		err = CheckParallel("Mark", len(answers), len(marks))
	}
	c.recordMarks(marks, answers, err)
	if err != nil {
		return nil, err
	}
	for i, at := range of {
		errs[at] = answers[i]
	}
	return errs, nil
}

// recordMarks notes which marks the store has refused.
func (c *Claimer) recordMarks(marks []dedupe.Mark, answers []error, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.markError = err; err != nil {
		return
	}
	for i, m := range marks {
		if errors.Is(answers[i], dedupe.ErrFull) {
			c.refusedMarks[m.Key] = answers[i]
		} else {
			delete(c.refusedMarks, m.Key)
		}
	}
}

// CheckParallel checks that a store has answered every item of a call.
func CheckParallel(call string, got, want int) error {
	if got != want {
		return fmt.Errorf("the store answered %d of %d items of %s: its results must be parallel to the argument", got, want, call)
	}
	return nil
}
