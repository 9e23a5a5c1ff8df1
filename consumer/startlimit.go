package consumer

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/flow"
)

// startLimit is Options.Limit as the slots ask it.
//
// What has to wait waits in its slot, within Options.LimitQueue and LimitWait. What else has to
// wait is given back, so that events of other keys can start. It is redelivered when it is its
// turn: events of one key get turns one after the other, as far apart as they have been starting.
type startLimit struct {
	limiter    flow.Limiter
	keyOf      func(bus.Event) string
	log        *slog.Logger
	maxWaiting int           // in slots
	maxWait    time.Duration // there

	eventful atomic.Bool // it has failed, or given turns: starts are recorded

	mu      sync.Mutex
	waiting int                  // in slots, now
	until   map[string]time.Time // of those in slots: when their key is asked about again
	turns   map[string]*turns
	err     error // what the limiter failed with last; nil: it answers
}

// turns are those of a key whose events were given back.
type turns struct {
	next      time.Time     // the last that was given
	gap       time.Duration // between two starts, more or less
	lastStart time.Time
}

func newStartLimit(o *Options, topic string) *startLimit {
	if o.Limit == nil {
		return nil
	}
	l := &startLimit{
		limiter: o.Limit, keyOf: o.LimitKey, log: o.Logger, maxWaiting: o.Concurrency, maxWait: cmp.Or(o.LimitWait, o.Lease),
		until: make(map[string]time.Time), turns: make(map[string]*turns),
	}
	if l.keyOf != nil || bus.ValidTopic(topic) != nil { // a pattern
		l.maxWaiting = max(1, o.Concurrency/2)
	}
	l.maxWaiting = cmp.Or(o.LimitQueue, l.maxWaiting)
	if l.keyOf == nil {
		l.keyOf = func(e bus.Event) string { return e.Topic }
	}
	return l
}

// errLimited is why an event is given back that would have to wait for the limit in a slot that
// others need.
var errLimited = errors.New("the limit lets no more of its key start now")

// wait returns nil once the event may start. Otherwise it returns after how long to try again.
func (l *startLimit) wait(ctx context.Context, e bus.Event) (after time.Duration, err error) {
	key := l.keyFor(e)
	d, err := l.limiter.Allow(ctx, key, 1)
	if err == nil && d.Allowed && !l.eventful.Load() {
		return 0, nil
	}
	begun, timer := time.Now(), time.NewTimer(0)
	defer timer.Stop()
	for waits := false; ; d, err = l.limiter.Allow(ctx, key, 1) {
		l.recordAnswer(ctx, err)
		switch {
		case err != nil:
			d = flow.Decision{RetryAfter: time.Second}
		case d.Allowed:
			l.leaveSlot(key, waits)
			l.recordStart(key)
			return 0, nil
		}
		if time.Since(begun)+d.RetryAfter > l.maxWait || !waits && !l.enterSlot() {
			l.leaveSlot(key, waits)
			return l.giveTurn(key, d.RetryAfter), errLimited
		}
		waits = true
		l.noteWait(key, d.RetryAfter)
		timer.Reset(d.RetryAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
			l.leaveSlot(key, waits)
			return 0, context.Cause(ctx)
		}
	}
}

// keyFor is the key for the limit: the topic if Options.LimitKey panics.
func (l *startLimit) keyFor(e bus.Event) (key string) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("Options.LimitKey panicked; limiting by topic", "panic", p)
			key = e.Topic
		}
	}()
	return l.keyOf(e)
}

// recordAnswer logs the first failure of the limiter, and its recovery.
func (l *startLimit) recordAnswer(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	before := l.err
	l.err = err
	l.eventful.Store(err != nil || len(l.turns) > 0)
	l.mu.Unlock()
	switch {
	case err != nil && before == nil:
		l.log.Error("the limit cannot be asked; nothing starts until it answers", "error", err)
	case err == nil && before != nil:
		l.log.Info("the limit answers again")
	}
}

// failure is what the limiter failed with last; nil if it answers.
func (l *startLimit) failure() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *startLimit) enterSlot() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting >= l.maxWaiting {
		return false
	}
	l.waiting++
	return true
}

// leaveSlot notes that an event waits no longer. Another one of its key notes it again when it
// asks.
func (l *startLimit) leaveSlot(key string, waited bool) {
	if !waited {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
	delete(l.until, key)
}

func (l *startLimit) noteWait(key string, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until[key] = time.Now().Add(d)
}

// limitedUntil is when the limit is asked next for an event that waits; zero: none does.
func (l *startLimit) limitedUntil() (key string, first time.Time) {
	if l == nil {
		return "", time.Time{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for k, at := range l.until {
		if at.Before(now) {
			continue // who waited for it has gone
		}
		if first.IsZero() || at.Before(first) {
			key, first = k, at
		}
	}
	return key, first
}

// giveTurn returns when an event that is given back is to try again.
func (l *startLimit) giveTurn(key string, retryAfter time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	t := l.turns[key]
	if t == nil {
		l.forgetPastTurns(now)
		t = &turns{gap: retryAfter, lastStart: now}
		l.turns[key] = t
		l.eventful.Store(true)
	}
	if first := now.Add(retryAfter); t.next.Before(first) {
		t.next = first
	}
	spread := rand.Float64() //nolint:gosec // not secret
	if t.next = t.next.Add(time.Duration(spread * 2 * float64(t.gap))); t.next.Sub(now) > longestTurn {
		t.next = now.Add(time.Duration(spread * float64(longestTurn)))
	}
	return t.next.Sub(now)
}

// recordStart measures how far apart events of a key start that others of it wait for.
func (l *startLimit) recordStart(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.turns[key]; t != nil {
		now := time.Now()
		t.gap += (now.Sub(t.lastStart) - t.gap) / 8
		t.lastStart = now
	}
}

// longestTurn is the longest that an event waits for its turn: a limit may be raised meanwhile.
const longestTurn = 5 * time.Minute

// maxTurns bounds the keys of which turns are kept; beyond it, those whose turns are over are
// forgotten.
const maxTurns = 1000

func (l *startLimit) forgetPastTurns(now time.Time) {
	if len(l.turns) < maxTurns {
		return
	}
	for key, t := range l.turns {
		if t.next.Before(now) {
			delete(l.turns, key)
		}
	}
	if len(l.turns) >= 10*maxTurns {
		clear(l.turns) // who waits is redelivered, and gets another turn
	}
}

// closeKey lets nothing of an event's key start for d, if the limiter can do that.
func (l *startLimit) closeKey(ctx context.Context, e bus.Event, d time.Duration) {
	closer, ok := l.limiter.(flow.KeyCloser)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if key := l.keyFor(e); ctx.Err() == nil {
		if err := closer.CloseFor(ctx, key, d); err != nil {
			l.log.Warn("the key of a limit is closed in this process alone", "key", key, "for", d, "error", err)
		}
	}
}
