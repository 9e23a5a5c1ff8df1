package deferral

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/backoff"
)

// trackLease is how long a call of Track may take until another one with the same ID goes on.
const trackLease = 30 * time.Second

// Track decides about an event without a subscription. Immediate: the caller deals with it now.
// Deferred: it is stored, and will be in a summary. The answer is kept with the ID of the event for
// as long as marks are, and is the same however often, and by whatever process of the group, it is
// tracked: a caller that does not know whether it has dealt with an event tracks it again. An ID
// that comes with another payload is Ignored, with ErrReused.
//
// Track blocks for two or three calls of the store, and where the event is deferred for one of the
// bus; while another call is at work on the same ID it waits for that. After an error nothing is
// known, and the caller repeats it. Events are stored for their summary whether Run runs or not.
func (t *Tracker) Track(ctx context.Context, e bus.Event) (Decision, error) {
	e = e.WithoutControl()
	if err := e.Validate(); err != nil {
		return Ignored, err
	}
	own := dedupe.Key{Topic: e.Topic, Group: t.group, ID: e.Identity()}
	hash := dedupe.NewHash(t.summary.FingerprintName, t.summary.Fingerprint(e))
	for {
		c, err := t.claimOne(ctx, dedupe.Request{Key: own, Nonce: t.newNonce(), Hash: hash, Lease: trackLease, TTL: t.summary.TTL})
		if err != nil {
			return Ignored, fmt.Errorf("track event %.64q: %w", e.ID, err)
		}
		switch c.State {
		case dedupe.Fresh:
			return t.trackClaimed(ctx, e, c)
		case dedupe.Held:
			if err := backoff.Sleep(ctx, min(max(c.HeldFor, time.Millisecond), 50*time.Millisecond)); err != nil {
				return Ignored, fmt.Errorf("track event %.64q, which another call is at work on: %w", e.ID, err)
			}
			continue
		case dedupe.Reused:
			t.observe(Observation{Outcome: OutcomeIgnored, Events: 1, Err: ErrReused})
			return Ignored, fmt.Errorf("track event %.64q: %w", e.ID, ErrReused)
		case dedupe.Done, dedupe.Dead, dedupe.DeadLettering:
		}
		d, _ := decisionOf(c.Note)
		t.observe(Observation{Outcome: OutcomeIgnored, Key: t.options.Key(e), Events: 1})
		return d, nil
	}
}

func (t *Tracker) claimOne(ctx context.Context, r dedupe.Request) (dedupe.Claim, error) {
	cs, err := t.store.Claim(ctx, []dedupe.Request{r})
	switch {
	case err != nil:
		return dedupe.Claim{}, err
	case len(cs) != 1:
		return dedupe.Claim{}, fmt.Errorf("the store answered %d claims to one request", len(cs))
	}
	return cs[0], cs[0].Err
}

// trackClaimed decides about an event whose claim this call holds.
func (t *Tracker) trackClaimed(ctx context.Context, e bus.Event, c dedupe.Claim) (d Decision, err error) {
	outcome := dedupe.NotBegun
	defer func() { t.settleTracked(ctx, c, outcome) }()
	key := t.options.Key(e)
	d, known := decisionOf(c.Note)
	overflow := false
	switch {
	case known && d == Deferred:
		t.index.reserve(key, 0)
	case known:
	case key == "":
		d = Immediate
	default:
		if d, overflow, err = t.decide(ctx, key); err != nil {
			return Ignored, err
		}
	}
	if !known {
		if err := t.noteDecision(ctx, c, d); err != nil {
			if d == Deferred {
				t.index.release(key, entry{})
			}
			return Ignored, err
		}
		c.Note = d.note()
	}
	if d == Deferred {
		err := t.publish(ctx, e, key, c.Key)
		if isRefused(err) {
			d, overflow = Immediate, true
			err = t.noteDecision(ctx, c, d)
		}
		if err != nil {
			return Ignored, fmt.Errorf("defer event %.64q: %w", e.ID, err)
		}
	}
	outcome = dedupe.Succeeded
	t.observe(Observation{Outcome: Outcome(d.String()), Key: key, Events: 1, Overflow: overflow})
	return d, nil
}

func (t *Tracker) noteDecision(ctx context.Context, c dedupe.Claim, d Decision) error {
	errs, err := t.store.Note(ctx, []dedupe.Note{{Claim: c, Text: d.note()}}, trackLease, t.summary.TTL)
	if err == nil && len(errs) == 1 {
		err = errs[0]
	}
	if err != nil {
		return fmt.Errorf("keep the decision about %s: %w", c.Key, err)
	}
	return nil
}

// settleTracked ends the claim of a call. If that fails the claim runs out, and the next call finds
// the note.
func (t *Tracker) settleTracked(ctx context.Context, c dedupe.Claim, o dedupe.Outcome) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), trackLease/6)
	defer cancel()
	if _, err := t.store.Settle(ctx, []dedupe.Settlement{{Claim: c, Outcome: o, TTL: t.summary.TTL}}); err != nil {
		t.observeError("a tracked event is not settled; its claim runs out by itself", err)
	}
}
