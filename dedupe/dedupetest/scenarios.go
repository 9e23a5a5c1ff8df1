package dedupetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

func claims(able *kit) bool     { return able.claimer != nil }
func reopens(able *kit) bool    { return able.claimer != nil && able.reopener != nil }
func watermarks(able *kit) bool { return able.watermarker != nil }

func lapse(k *kit, t *testing.T)  { t.Helper(); k.lapse(t) }
func expire(k *kit, t *testing.T) { t.Helper(); k.expire(t) }

func scenarios() []scenario {
	all := []scenario{
		{name: "seen", reads: true, prepare: seenAgain},
		{name: "mark", prepare: markAgain},
		{name: "mark over an expired row", wait: expire, prepare: markExpiredAgain},
		{name: "claim of an unknown key", needs: claims, prepare: claimUnknown},
		{name: "claim of an expired key", needs: claims, wait: expire, prepare: claimExpired},
		{name: "claim of a free key", needs: claims, prepare: claimFree},
		{name: "claim of a lapsed claim", needs: claims, wait: lapse, prepare: claimLapsed},
		{name: "claim of a lapsed dead letter", needs: claims, wait: lapse, prepare: claimDeadLettering},
		{name: "claim of one's own", needs: claims, prepare: claimOwn},
		{name: "claim of what is held", needs: claims, prepare: claimHeld},
		{name: "claim of what is done", needs: claims, prepare: claimDone},
		{name: "claim with another payload", needs: claims, prepare: claimReused},
		{name: "extension", needs: claims, wait: lapse, prepare: extendAgain},
		{name: "note", needs: notes, prepare: notedAgain},
		{name: "stale settlement", needs: claims, prepare: settleStale},
		{name: "reopening", needs: reopens, prepare: reopenAgain},
		{name: "begin", needs: watermarks, prepare: beginAgain},
		{name: "begin in another incarnation", needs: watermarks, prepare: beginNextAgain},
		{name: "advance", needs: watermarks, prepare: advanceAgain},
	}
	for _, o := range []dedupe.Outcome{dedupe.Succeeded, dedupe.Failed, dedupe.NotBegun, dedupe.GivenUp, dedupe.DeadLettered} {
		all = append(all, scenario{
			name: "settlement: " + o.String(), needs: claims,
			prepare: func(t *testing.T, k *kit, key dedupe.Key) probe { t.Helper(); return settleAgain(t, k, key, o) },
		})
	}
	return all
}

func seenAgain(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	k.mark(t, doneMark(key))
	return probe{
		call: func(ctx context.Context) (any, error) {
			rs, err := k.store.Seen(ctx, []dedupe.Key{key})
			if err != nil {
				return nil, err
			}
			return rs[0].State, nil
		},
		check: func(t *testing.T, answer any) {
			t.Helper()
			if answer != dedupe.Done {
				t.Errorf("%s is seen as %v, want done", key, answer)
			}
		},
	}
}

func markAgain(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	m := doneMark(key)
	return probe{
		call:  func(ctx context.Context) (any, error) { return nil, stored(k.store.Mark(ctx, []dedupe.Mark{m})) },
		check: func(t *testing.T, _ any) { t.Helper(); k.is(t, key, dedupe.Done) },
	}
}

func markExpiredAgain(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	m := doneMark(key)
	m.TTL, m.State = k.h.TTL, dedupe.Dead
	k.mark(t, m)
	return markAgain(t, k, key)
}

func claimUnknown(_ *testing.T, k *kit, key dedupe.Key) probe {
	return k.claimProbe(k.request(key), said{})
}

func claimExpired(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	m := doneMark(key)
	m.TTL = k.h.TTL
	k.mark(t, m)
	return k.claimProbe(k.request(key), said{})
}

func claimFree(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	c := k.fresh(t, key)
	k.settled(t, end(c, dedupe.Failed))
	return k.claimProbe(k.request(key), said{Token: c.Token, Attempts: 1})
}

func claimLapsed(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	c := k.claim(t, k.brief(key), dedupe.Fresh)
	return k.claimProbe(k.request(key), said{Token: c.Token, Crashes: 1})
}

func claimDeadLettering(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	c := k.deadLetteringKey(t, key, k.h.Lease)
	s := end(c, dedupe.GivenUp)
	return k.claimProbe(k.request(key), said{State: dedupe.DeadLettering, Token: c.Token, Reason: s.Reason, Letter: s.Letter})
}

func claimOwn(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	r := k.request(key)
	k.claim(t, r, dedupe.Fresh)
	return k.claimProbe(r, said{})
}

func claimHeld(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	k.fresh(t, key)
	return k.claimProbe(k.request(key), said{State: dedupe.Held})
}

func claimDone(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	k.settled(t, end(k.fresh(t, key), dedupe.Succeeded))
	return k.claimProbe(k.request(key), said{State: dedupe.Done})
}

func claimReused(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	k.settled(t, end(k.fresh(t, key), dedupe.Failed))
	r := k.request(key)
	r.Hash = hashB
	return k.claimProbe(r, said{State: dedupe.Reused})
}

func extendAgain(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	c := k.claim(t, k.brief(key), dedupe.Fresh)
	return probe{
		call: func(ctx context.Context) (any, error) {
			oks, err := applied(k.claimer.Extend(ctx, []dedupe.Claim{c}, lasting, keeping))
			if err != nil {
				return nil, err
			}
			return oks[0], nil
		},
		check: func(t *testing.T, answer any) {
			t.Helper()
			if answer != true {
				t.Errorf("extension of %s: %v, want true", key, answer)
			}
			k.held(t, key)
			k.settled(t, end(c, dedupe.Failed))
			counts(t, k.fresh(t, key), 1, 0)
		},
	}
}

func settleAgain(t *testing.T, k *kit, key dedupe.Key, o dedupe.Outcome) probe {
	t.Helper()
	c := k.fresh(t, key)
	if o == dedupe.DeadLettered {
		k.settled(t, end(c, dedupe.GivenUp))
	}
	s := end(c, o)
	s.CountAttempt = true
	if o == dedupe.Failed || o == dedupe.GivenUp {
		s.Attempt = attempt(c, 1)
	}
	return k.settleProbe(s, true, func(t *testing.T) {
		t.Helper()
		switch o {
		case dedupe.Succeeded:
			k.is(t, key, dedupe.Done)
		case dedupe.Failed:
			again := k.fresh(t, key)
			counts(t, again, 1, 0)
			sameHistory(t, key, again.History, []dedupe.Attempt{*s.Attempt})
		case dedupe.NotBegun:
			counts(t, k.fresh(t, key), 0, 0)
		case dedupe.GivenUp:
			r := k.request(key)
			r.Nonce = c.Nonce
			again := k.claim(t, r, dedupe.DeadLettering)
			counts(t, again, 1, 0)
			sameHistory(t, key, again.History, []dedupe.Attempt{*s.Attempt})
		case dedupe.DeadLettered:
			k.is(t, key, dedupe.Dead)
		}
	})
}

// settleStale: the claim was given back, and is another's by now.
func settleStale(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	old := k.fresh(t, key)
	k.settled(t, end(old, dedupe.NotBegun))
	c := k.fresh(t, key)
	return k.settleProbe(end(old, dedupe.Failed), false, func(t *testing.T) {
		t.Helper()
		k.settled(t, end(c, dedupe.NotBegun))
		counts(t, k.fresh(t, key), 0, 0)
	})
}

func reopenAgain(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	k.settled(t, end(k.fresh(t, key), dedupe.Failed))
	c := k.deadLetteringKey(t, key, lasting)
	return probe{
		call: func(ctx context.Context) (any, error) { return nil, stored(k.reopener.Reopen(ctx, []dedupe.Key{key})) },
		check: func(t *testing.T, _ any) {
			t.Helper()
			next := k.fresh(t, key)
			counts(t, next, 0, 0)
			if next.Token <= c.Token {
				t.Errorf("reopened: token %d after %d: must grow", next.Token, c.Token)
			}
		},
	}
}

func beginAgain(_ *testing.T, k *kit, key dedupe.Key) probe {
	begin := trailed(at(7, 0), 2)
	return k.beginProbe(key.ID, begin, begin)
}

func beginNextAgain(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	k.begin(t, key.ID, "t", at(7, 0), at(7, 0))
	next := of("ORDERS@2", 900, noon.Add(time.Hour))
	return k.beginProbe(key.ID, next, next, at(7, 0))
}

// beginProbe is of a group that keeps the earlier ones already.
func (k *kit) beginProbe(group string, ask, want dedupe.Watermark, earlier ...dedupe.Watermark) probe {
	return probe{
		call: func(ctx context.Context) (any, error) {
			w, err := k.watermarker.Begin(ctx, group, "t", ask)
			w.Stored = w.Stored.UTC()
			for i := range w.Trail {
				w.Trail[i].Stored = w.Trail[i].Stored.UTC()
			}
			return w, err
		},
		check: func(t *testing.T, answer any) {
			t.Helper()
			if w, ok := answer.(dedupe.Watermark); !ok || !sameWatermark(w, want) {
				t.Errorf("Begin: %+v, want %+v", answer, want)
			}
			k.keeps(t, group, "t", append(slices.Clone(earlier), want)...)
		},
	}
}

func advanceAgain(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	k.begin(t, key.ID, "t", at(7, 0), at(7, 0))
	return probe{
		call:  func(ctx context.Context) (any, error) { return nil, k.watermarker.Advance(ctx, key.ID, "t", at(9, 1)) },
		check: func(t *testing.T, _ any) { t.Helper(); k.keeps(t, key.ID, "t", at(9, 1)) },
	}
}
