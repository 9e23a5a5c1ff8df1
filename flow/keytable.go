package flow

import (
	"fmt"
	"log/slog"
)

// DefaultMaxKeys is how many keys a limiter counts apart from each other by default.
const DefaultMaxKeys = 10_000

// maxMaxKeys bounds what may be configured.
const maxMaxKeys = 10_000_000

// keyTable has what is remembered of each key, and no more than a number of keys. At the bound,
// keys that are idle are forgotten; if none is found, new keys share one entry. It is not safe for
// concurrent use.
type keyTable[E any] struct {
	most     int
	index    map[string]int // into slots
	slots    []keySlot[E]
	hand     int // the slot that is looked at next for one to forget
	overflow *E
	log      *slog.Logger
	logged   bool
}

type keySlot[E any] struct {
	key   string
	entry *E
}

// lookedAt is how many slots are looked at for one that is idle, before a key shares the overflow.
const lookedAt = 8

func newKeyTable[E any](most int, log *slog.Logger) (keyTable[E], error) {
	if most == 0 {
		most = DefaultMaxKeys
	}
	if most < 1 || most > maxMaxKeys {
		return keyTable[E]{}, fmt.Errorf("flow: MaxKeys is %d: it must be 1 to %d, or 0 for %d", most, maxMaxKeys, DefaultMaxKeys)
	}
	if log == nil {
		log = slog.Default()
	}
	return keyTable[E]{most: most, index: make(map[string]int), log: log}, nil
}

// find returns the entry of a key. own is false if it is the one that keys beyond the bound share.
func (t *keyTable[E]) find(key string, fresh func() *E, idle func(*E) bool) (entry *E, own bool) {
	if i, ok := t.index[key]; ok {
		return t.slots[i].entry, true
	}
	return t.add(key, fresh, idle)
}

func (t *keyTable[E]) add(key string, fresh func() *E, idle func(*E) bool) (entry *E, own bool) {
	if len(t.slots) < t.most {
		t.index[key] = len(t.slots)
		t.slots = append(t.slots, keySlot[E]{key, fresh()})
		return t.slots[len(t.slots)-1].entry, true
	}
	for range min(lookedAt, len(t.slots)) {
		i := t.hand
		t.hand = (t.hand + 1) % len(t.slots)
		if idle(t.slots[i].entry) {
			delete(t.index, t.slots[i].key)
			t.index[key] = i
			t.slots[i] = keySlot[E]{key, fresh()}
			return t.slots[i].entry, true
		}
	}
	if t.overflow == nil {
		t.overflow = fresh()
	}
	if !t.logged {
		t.logged = true
		t.log.Warn("limiter has reached its bound on keys; further keys share one limit while none is idle: raise MaxKeys", "max_keys", t.most)
	}
	return t.overflow, false
}

// each calls f with every entry.
func (t *keyTable[E]) each(f func(*E)) {
	for i := range t.slots {
		f(t.slots[i].entry)
	}
	if t.overflow != nil {
		f(t.overflow)
	}
}
