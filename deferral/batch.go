package deferral

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/backoff"
)

// batch is the events of a summary, and the claims of all but the head, which is the subscription's
// own.
type batch struct {
	tracker *Tracker
	head    *deferredEvent
	attempt consumer.Attempt // of the head
	items   []batchItem      // by sequence
	lost    bool             // the handler was stopped, for its events or all summaries are another process's
}

type batchItem struct {
	entry entry
	event deferredEvent
	claim dedupe.Claim // zero: it is the head
	done  bool         // the claim is settled
}

func (i *batchItem) isHead() bool { return i.claim.Nonce == "" }

// crashesToRunAlone is after how many crashes an event is summed up alone. The first may have been
// that of any event of a summary.
const crashesToRunAlone = 2

// mostItems is how many events the summary of a run may have.
func (t *Tracker) mostItems(a consumer.Attempt) int {
	if a.Crashes >= crashesToRunAlone || a.Number >= t.options.Attempts {
		return 1
	}
	text, _ := strings.CutPrefix(a.Note, noteMost)
	if most, err := strconv.Atoi(text); err == nil && most > 0 {
		return min(most, t.options.MaxItems)
	}
	return t.options.MaxItems
}

// collect returns the events of the head's key that are to be summed up now.
func (t *Tracker) collect(ctx context.Context, head *deferredEvent, a consumer.Attempt) (*batch, error) {
	b := &batch{tracker: t, head: head, attempt: a}
	most := t.mostItems(a)
	wanted := t.index.entriesOf(head.key, most)
	if most == 1 {
		err := b.takeHeadAlone(ctx, wanted)
		return b, err
	}
	if err := b.claimEntries(ctx, wanted); err != nil {
		b.release()
		return nil, err
	}
	if err := b.loadEvents(ctx); err != nil {
		b.release()
		t.observeError("deferred events could not be read; their summary is retried", err)
		return nil, consumer.Snooze(time.Second)
	}
	if len(b.items) == 0 {
		return nil, consumer.Snooze(0) // what was before the head is done
	}
	return b, nil
}

// takeHeadAlone makes the batch one of the head, unless earlier events of its key are not done.
func (b *batch) takeHeadAlone(ctx context.Context, wanted []entry) error {
	for i := range wanted {
		if wanted[i].at.Sequence == b.attempt.At.Sequence {
			wanted = wanted[:i]
			break
		}
	}
	if err := b.tracker.forgetDone(ctx, wanted); err != nil {
		return consumer.Snooze(time.Second)
	}
	if left := b.tracker.index.entriesOf(b.head.key, 1); len(left) > 0 && left[0].at.Sequence < b.attempt.At.Sequence {
		return consumer.Snooze(time.Second)
	}
	b.items = []batchItem{{entry: entry{at: b.attempt.At}, event: *b.head}}
	return nil
}

// claimEntries claims what can be had of the entries, from the first on and without a gap. It fails
// with a Snooze while an entry that is before the head cannot be had.
func (b *batch) claimEntries(ctx context.Context, wanted []entry) error {
	t := b.tracker
	requests, asked := b.requestsFor(wanted)
	claims, err := t.store.Claim(ctx, requests)
	if err == nil && len(claims) != len(requests) {
		err = fmt.Errorf("the store answered %d claims to %d requests", len(claims), len(requests))
	}
	if err != nil {
		t.observeError("deferred events could not be claimed; their summary is retried", err)
		return consumer.Snooze(time.Second)
	}
	gap := b.takeClaims(wanted, claims, asked)
	var excess []dedupe.Claim
	for i := gap; i < len(wanted); i++ {
		if at, ok := asked[i]; ok && claims[at].Err == nil && claims[at].State == dedupe.Fresh {
			excess = append(excess, claims[at])
		}
	}
	t.settleAs(ctx, dedupe.NotBegun, excess...)
	if gap < len(wanted) && wanted[gap].at.Sequence < b.attempt.At.Sequence {
		return consumer.Snooze(heldWait(claims, asked, gap))
	}
	return nil
}

// takeClaims takes in entries up to the first one that cannot be had, and returns its place.
func (b *batch) takeClaims(wanted []entry, claims []dedupe.Claim, asked map[int]int) (gap int) {
	for i, e := range wanted {
		at, ok := asked[i]
		switch {
		case e.at.Sequence == b.attempt.At.Sequence:
			b.items = append(b.items, batchItem{entry: e, event: *b.head})
		case e.at.Stored.IsZero():
			return i // it is about to be read
		case ok && !b.takeClaim(e, claims[at]):
			return i
		}
	}
	return len(wanted)
}

// takeClaim takes an entry in if its claim was won. It returns false if those behind it must wait
// for it.
func (b *batch) takeClaim(e entry, c dedupe.Claim) bool {
	switch {
	case c.Err != nil:
		return false
	case c.State == dedupe.Fresh && c.Crashes < crashesToRunAlone:
		b.items = append(b.items, batchItem{entry: e, claim: c})
		return true
	case c.State == dedupe.Done || c.State == dedupe.Dead:
		b.tracker.index.remove(e.at.Sequence)
		return true
	}
	return c.State == dedupe.Reused // that is dead-lettered when it is delivered
}

// requestsFor returns the requests for the entries that are not the head, and the places of their
// answers. A copy of an event that is asked for is not asked for again.
func (b *batch) requestsFor(wanted []entry) (requests []dedupe.Request, asked map[int]int) {
	t := b.tracker
	asked = make(map[int]int, len(wanted))
	seen := map[dedupe.Key]bool{b.attempt.Key: true}
	for i := range wanted {
		key := t.storeKey(&wanted[i])
		if wanted[i].at.Stored.IsZero() {
			break // it is about to be read
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		asked[i] = len(requests)
		requests = append(requests, dedupe.Request{Key: key, Nonce: t.newNonce(), Lease: t.summary.Lease, TTL: t.summary.TTL})
	}
	return requests, asked
}

// heldWait is how long to wait for the claim that somebody else has of an earlier event.
func heldWait(claims []dedupe.Claim, asked map[int]int, i int) time.Duration {
	wait := time.Second
	if at, ok := asked[i]; ok && claims[at].Err == nil && claims[at].State == dedupe.Held {
		wait = claims[at].HeldFor
	}
	return min(max(wait, 50*time.Millisecond), 10*time.Second)
}

// loadEvents reads the events of the items. Those beyond MaxBytes are left for the next summary,
// and those that the stream has dropped are left out.
func (b *batch) loadEvents(ctx context.Context) error {
	size, kept := 0, b.items[:0:0]
	for i := range b.items {
		item := &b.items[i]
		if !item.isHead() {
			ok, err := b.tracker.loadEvent(ctx, item)
			switch {
			case err != nil:
				return err
			case !ok:
				b.tracker.settleAs(ctx, dedupe.NotBegun, item.claim)
				continue
			}
		}
		if size += len(item.event.event.Data); size > b.tracker.options.MaxBytes && len(kept) > 0 {
			b.giveBack(ctx, b.items[i:])
			break
		}
		kept = append(kept, *item)
	}
	b.items = kept
	return nil
}

// loadEvent reads the event of an item. It is not ok if the stream has dropped it.
func (t *Tracker) loadEvent(ctx context.Context, item *batchItem) (ok bool, err error) {
	e, err := t.bus.Get(ctx, item.entry.at)
	if errors.Is(err, bus.ErrNoEvent) {
		t.log.Error("the stream dropped a deferred event before it was summed up (retention or purge)", "at", item.entry.at.Sequence, "id", item.entry.id)
		t.observe(Observation{Outcome: OutcomeError, Events: 1, Err: err})
		t.index.remove(item.entry.at.Sequence)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if item.event, err = decodeEvent(e, t.group); err != nil {
		return false, err
	}
	item.event.own.Scope = item.entry.scope
	return true, nil
}

func (b *batch) giveBack(ctx context.Context, items []batchItem) {
	var claims []dedupe.Claim
	for i := range items {
		if !items[i].isHead() && !items[i].done {
			claims = append(claims, items[i].claim)
		}
	}
	b.tracker.settleAs(ctx, dedupe.NotBegun, claims...)
}

func (b *batch) events() []bus.Event {
	es := make([]bus.Event, len(b.items))
	for i := range b.items {
		es[i] = b.items[i].event.event
	}
	return es
}

// runs returns the runs of the events, each under the key that it has on its own topic.
func (b *batch) runs() []consumer.Attempt {
	runs := make([]consumer.Attempt, len(b.items))
	for i := range b.items {
		item := &b.items[i]
		runs[i] = consumer.Attempt{
			Number: item.claim.Attempts + 1, Token: item.claim.Token, Crashes: item.claim.Crashes, At: item.entry.at,
			Key: item.event.own, IdempotencyKey: consumer.IdempotencyKey(item.event.own),
		}
		if item.isHead() {
			runs[i].Number, runs[i].Token, runs[i].Crashes = b.attempt.Number, b.attempt.Token, b.attempt.Crashes
		}
	}
	return runs
}

func (b *batch) hasHead() bool { return b.headIndex() >= 0 }

// headIndex is the place of the head among the items, or -1.
func (b *batch) headIndex() int {
	return slices.IndexFunc(b.items, func(i batchItem) bool { return i.isHead() })
}

// keepClaims renews the claims until stop is called. The context ends when one of them is lost, or
// the lease of the group's summaries is.
func (b *batch) keepClaims(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	leaseLost := b.tracker.ticks.leaseLost()
	var all sync.WaitGroup
	all.Go(func() {
		for backoff.Sleep(ctx, b.tracker.summary.Lease/3) == nil {
			if b.renew(ctx) {
				cancel(consumer.ErrLeaseLost)
			}
		}
	})
	all.Go(func() {
		select {
		case <-leaseLost:
			cancel(consumer.ErrLeaseLost)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		b.lost = errors.Is(context.Cause(ctx), consumer.ErrLeaseLost)
		cancel(nil)
		all.Wait()
	}
}

// renew reports whether one of the claims is another's.
func (b *batch) renew(ctx context.Context) (lost bool) {
	t := b.tracker
	var claims []dedupe.Claim
	for i := range b.items {
		if !b.items[i].isHead() {
			claims = append(claims, b.items[i].claim)
		}
	}
	if len(claims) == 0 {
		return false
	}
	call, cancel := context.WithTimeout(ctx, t.summary.Lease/3)
	defer cancel()
	errs, err := t.store.Extend(call, claims, t.summary.Lease, t.summary.TTL)
	if err != nil && ctx.Err() == nil {
		t.log.Warn("the claims of a summary could not be renewed; repeating the call", "error", err)
	}
	for _, e := range errs {
		lost = lost || errors.Is(e, dedupe.ErrSuperseded)
	}
	return lost
}

// settle marks the events that are done, and returns how many these are, the head included. A
// success is marked until the store has taken it, or the run must end.
func (b *batch) settle(ctx context.Context, done []bool) (n int) {
	sequences := make(map[string]uint64) // by the nonce of the claim
	var claims []dedupe.Claim
	for i := range b.items {
		item := &b.items[i]
		if !done[i] {
			continue
		}
		n++
		if item.isHead() {
			continue // the subscription marks it
		}
		claims = append(claims, item.claim)
		sequences[item.claim.Nonce] = item.entry.at.Sequence
		b.tracker.summed.add(item.entry.at.Sequence)
		item.done = true
	}
	for _, c := range b.tracker.settleAs(ctx, dedupe.Succeeded, claims...) {
		b.tracker.summed.remove(sequences[c.Nonce])
		delete(sequences, c.Nonce)
	}
	b.tracker.index.remove(slices.Collect(maps.Values(sequences))...)
	return n
}

// release gives back what was not settled.
func (b *batch) release() { b.giveBack(context.Background(), b.items) }

// settleAs settles claims, and repeats that until the store has answered: for two leases, and what
// succeeded also for as long as ctx lasts. Beyond its lease it is marked if nobody has taken it
// over. It returns what is not settled by it: another process has it, and may die before it has
// done anything, or the store has not answered.
func (t *Tracker) settleAs(ctx context.Context, o dedupe.Outcome, claims ...dedupe.Claim) (others []dedupe.Claim) {
	settlements := make([]dedupe.Settlement, len(claims))
	for i := range claims {
		settlements[i] = dedupe.Settlement{Claim: claims[i], Outcome: o, TTL: t.summary.TTL}
	}
	least, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*t.summary.Lease)
	defer cancel()
	for tries := 0; len(settlements) > 0; tries++ {
		again, lost, err := t.settleOnce(ctx, settlements)
		others = append(others, lost...)
		if settlements = again; len(again) == 0 {
			break
		}
		t.observeError("events of a summary are not settled; repeating the call", err)
		wait := backoff.Doubled(50*time.Millisecond, tries, 2*time.Second)
		if backoff.Sleep(least, wait) != nil && (o != dedupe.Succeeded || backoff.Sleep(ctx, wait) != nil) {
			t.observeError("events of a summary are left unsettled: they run again when their leases are over", err)
			break
		}
	}
	for i := range settlements {
		others = append(others, settlements[i].Claim)
	}
	return others
}

// settleOnce makes one call, and returns what is to be repeated, and what is another's.
func (t *Tracker) settleOnce(ctx context.Context, settlements []dedupe.Settlement) (again []dedupe.Settlement, lost []dedupe.Claim, err error) {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.summary.Lease)
	defer cancel()
	errs, err := t.store.Settle(call, settlements)
	if err != nil {
		return settlements, nil, err
	}
	if len(errs) != len(settlements) {
		return settlements, nil, fmt.Errorf("the store answered %d results to %d settlements", len(errs), len(settlements))
	}
	for i, e := range errs {
		switch {
		case e == nil:
		case errors.Is(e, dedupe.ErrSuperseded), errors.Is(e, dedupe.ErrKeyRefused):
			lost = append(lost, settlements[i].Claim)
		default:
			again, err = append(again, settlements[i]), e
		}
	}
	return again, lost, err
}
