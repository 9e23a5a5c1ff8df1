package deferral

import (
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
)

// entry is a deferred event of which no summary is known to be done.
type entry struct {
	at    bus.Position // Stored is zero as long as only its sequence is known
	id    string       // by which the store knows it; see storedID
	scope string       // of its key in the store
	since time.Time    // from when its interval counts, by the local clock
}

// keyEntries are the deferred events of a key.
type keyEntries struct {
	entries    []entry   // by sequence
	publishing int       // more are about to be published
	checked    time.Time // when the store was asked last which of them are done
}

func (k *keyEntries) find(sequence uint64) (int, bool) {
	return slices.BinarySearchFunc(k.entries, sequence, func(e entry, s uint64) int {
		switch {
		case e.at.Sequence < s:
			return -1
		case e.at.Sequence > s:
			return 1
		}
		return 0
	})
}

// index knows which keys have deferred events, and where these lie. It is safe for concurrent use.
type index struct {
	mu      sync.Mutex
	keys    map[string]*keyEntries
	keyOf   map[uint64]string // by sequence
	order   []uint64          // sequences as they were added; some are gone
	read    uint64            // up to where the topic was read
	last    uint64            // the largest sequence that is known
	changed chan struct{}     // closed and replaced when something is added or removed
}

func newIndex() *index {
	return &index{keys: make(map[string]*keyEntries), keyOf: make(map[uint64]string), changed: make(chan struct{})}
}

// tryReserve notes that an event of the key is about to be deferred, if the key has deferred ones.
func (x *index) tryReserve(key string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.keys[key]
	if k != nil {
		k.publishing++
	}
	return k != nil
}

// reserve notes that an event of the key is about to be deferred. It returns false if that would be
// one key more than most; 0 is any number.
func (x *index) reserve(key string, most int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.keys[key]
	if k == nil {
		if most > 0 && len(x.keys) >= most {
			return false
		}
		k = &keyEntries{}
		x.keys[key] = k
	}
	k.publishing++
	return true
}

// release ends a reservation. With a sequence the event was stored there.
func (x *index) release(key string, e entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if k := x.keys[key]; k != nil {
		k.publishing--
		if e.at.Sequence > x.read {
			x.insert(key, e)
		}
		x.forgetIdle(key, k)
	}
}

// add takes in an event that was read at its position.
func (x *index) add(key string, e entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.read = max(x.read, e.at.Sequence)
	x.insert(key, e)
}

// ensure takes in an event that was delivered, and may not be read yet.
func (x *index) ensure(key string, e entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.insert(key, e)
}

// skip notes that the topic was read up to a sequence.
func (x *index) skip(sequence uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.read = max(x.read, sequence)
	x.signal()
}

func (x *index) insert(key string, e entry) {
	k := x.keys[key]
	if k == nil {
		k = &keyEntries{}
		x.keys[key] = k
	}
	x.last = max(x.last, e.at.Sequence)
	i, ok := k.find(e.at.Sequence)
	switch {
	case !ok:
		k.entries = slices.Insert(k.entries, i, e)
		x.keyOf[e.at.Sequence] = key
		x.order = append(x.order, e.at.Sequence)
	case k.entries[i].at.Stored.IsZero():
		e.since = k.entries[i].since
		k.entries[i] = e
	}
	x.signal()
}

// remove forgets events that are done, or gone.
func (x *index) remove(sequences ...uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range sequences {
		key, ok := x.keyOf[s]
		if !ok {
			continue
		}
		delete(x.keyOf, s)
		k := x.keys[key]
		if i, ok := k.find(s); ok {
			k.entries = slices.Delete(k.entries, i, i+1)
		}
		x.forgetIdle(key, k)
	}
	x.signal()
}

// removeUpTo forgets what the stream has dropped.
func (x *index) removeUpTo(sequence uint64) {
	x.mu.Lock()
	var gone []uint64
	for s := range x.keyOf {
		if s <= sequence {
			gone = append(gone, s)
		}
	}
	x.mu.Unlock()
	x.remove(gone...)
}

func (x *index) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for key, k := range x.keys {
		k.entries = nil
		x.forgetIdle(key, k)
	}
	clear(x.keyOf)
	x.order, x.read, x.last = nil, 0, 0
	x.signal()
}

func (x *index) forgetIdle(key string, k *keyEntries) {
	if len(k.entries) == 0 && k.publishing == 0 {
		delete(x.keys, key)
	}
}

func (x *index) signal() {
	close(x.changed)
	x.changed = make(chan struct{})
}

// oldest returns the first event. changed is closed when it may be another.
func (x *index) oldest() (first entry, ok bool, changed <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.order) > 0 {
		if key, there := x.keyOf[x.order[0]]; there {
			i, _ := x.keys[key].find(x.order[0])
			return x.keys[key].entries[i], true, x.changed
		}
		x.order = x.order[1:]
	}
	return entry{}, false, x.changed
}

// readUpTo returns up to where the topic was read. changed is closed when it may be farther.
func (x *index) readUpTo() (sequence uint64, changed <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.read, x.changed
}

// end returns up to where the topic is known.
func (x *index) end() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return max(x.read, x.last)
}

// entriesOf returns the deferred events of a key, most of them at most.
func (x *index) entriesOf(key string, most int) []entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.keys[key]
	if k == nil {
		return nil
	}
	return slices.Clone(k.entries[:min(most, len(k.entries))])
}

// toCheck returns the events of a key, at most so many, unless the store was asked about them since
// a time.
func (x *index) toCheck(key string, now time.Time, every time.Duration, most int) []entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.keys[key]
	if k == nil || len(k.entries) == 0 || now.Sub(k.checked) < every {
		return nil
	}
	k.checked = now
	return slices.Clone(k.entries[:min(most, len(k.entries))])
}

// all returns every event up to a sequence.
func (x *index) all(upTo uint64) (es []entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range x.keys {
		for _, e := range k.entries {
			if e.at.Sequence <= upTo {
				es = append(es, e)
			}
		}
	}
	return es
}

// waitingSince returns every event that has waited since a time or longer.
func (x *index) waitingSince(t time.Time) (es []entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range x.keys {
		for _, e := range k.entries {
			if !e.since.After(t) {
				es = append(es, e)
			}
		}
	}
	return es
}

// size returns how many keys have deferred events, and how many events those are.
func (x *index) size() (keys, events int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.keys), len(x.keyOf)
}
