package outbox

import (
	"maps"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// rotation walks over all hashes that this drainer has, page by page, and begins anew. It keeps no
// place within a hash, and none from one walk to the next: what commits late is found as well.
type rotation struct {
	on    bool
	walk  uint64 // counts them
	from  uint64 // where the next page starts
	found int    // rows that were new
	met   int    // rows, new or not
	idle  int    // how many walks in a row found none
	next  time.Time
	due   time.Time // when the first row that is not due yet, or held, may be; zero: there is none
	woken bool
	turn  bool // a refill was last: now the walk
	full  bool // there was no room: what frees some wakes
	early bool // next has come nearer since the loader has looked
}

// load is the reading of a page that is under way. What is settled meanwhile may be on the page, as
// it was before.
type load struct {
	active bool
	number uint64 // counts them
	refill *lane  // it is for this lane alone; nil: for the rotation
	to     uint64
	ids    map[string]struct{}
	keys   map[string]struct{}
}

// nextLoad says what to read now; false: nothing, before the time that it returns or a
// call of wake.
func (b *board) nextLoad(now time.Time) (a Ask, wait time.Duration, ok bool) {
	r := &b.rotation
	r.full, r.early = false, false
	if len(b.rows) >= b.o.MaxRows || b.bytes >= b.o.MaxBytes {
		r.full = true
		return a, b.o.PollMax, false
	}
	if l := b.refill(); l != nil && (!r.turn || !r.on) {
		r.turn = true
		return b.begin(l.hash, l.hash, l), 0, true
	}
	if !r.on && !b.restart(now) {
		return a, r.next.Sub(now), false
	}
	r.turn = false
	if !b.roomy() {
		r.full = true
		return a, b.o.PollMax, false
	}
	for _, s := range b.spans() {
		if s.last >= r.from {
			return b.begin(max(r.from, s.first), s.last, nil), 0, true
		}
	}
	b.ended(now)
	return a, r.next.Sub(now), false
}

// restart begins a walk, if it is time.
func (b *board) restart(now time.Time) bool {
	r := &b.rotation
	if !r.woken && now.Before(r.next) {
		return false
	}
	*r = rotation{on: true, idle: r.idle, turn: r.turn, walk: r.walk + 1}
	return true
}

// ended ends a walk, and says when the next one begins.
func (b *board) ended(now time.Time) {
	r := &b.rotation
	r.on = false
	b.forgetConditions(now)
	wait := b.o.PollMin
	switch {
	case r.found == 0:
		wait = backoff.Doubled(b.o.PollMin, r.idle, b.o.PollMax)
		r.idle++
	case len(b.rows) > b.pageRows()/2: // it would mostly find these again
		r.idle, wait = 0, min(5*b.o.PollMin, b.o.PollMax)
	default:
		r.idle = 0
	}
	r.next = now.Add(wait)
	if !r.due.IsZero() && r.due.Before(r.next) {
		r.next = r.due
	}
}

// forgetConditions ends what was noted of rows that are gone, for nobody will find out by them that
// it is over: they were dropped, or others have published them.
func (b *board) forgetConditions(now time.Time) {
	maps.DeleteFunc(b.topics, func(_ string, h *hold) bool { return h.seen != b.rotation.walk && !now.Before(h.until) })
	if b.rotation.met == 0 && len(b.rows) == 0 {
		b.outage = outage{}
	}
}

// refill returns the lane that has waited longest for more rows.
func (b *board) refill() *lane {
	if len(b.rows) > b.o.MaxRows*3/4 {
		return nil
	}
	for len(b.refills) > 0 {
		l := b.refills[0]
		if l.more && b.lanes[l.key] == l {
			return l
		}
		b.refills = b.refills[1:]
	}
	return nil
}

func (b *board) begin(from, to uint64, l *lane) Ask {
	b.load.active, b.load.refill, b.load.to = true, l, to
	b.load.number++
	if l != nil {
		b.refills = b.refills[1:]
	}
	return Ask{
		From: from, To: to, Rows: min(b.pageRows(), b.o.MaxRows-len(b.rows)), Bytes: max(1, min(b.o.MaxBytes/4, b.o.MaxBytes-b.bytes)),
		PastDead: b.o.AfterDead == GoOn,
	}
}

// loaded takes in a page.
func (b *board) loaded(p Page, err error, now time.Time) {
	l := b.load
	if err == nil && l.refill != nil {
		l.refill.more = false
	}
	n := 0
	if err == nil {
		n = b.accept(p, now)
		b.rotation.found += n
		b.rotation.met += len(p.Rows)
	}
	b.load.active, b.load.refill = false, nil
	clear(l.ids)
	clear(l.keys)
	switch {
	case l.refill != nil:
		b.refilled(l.refill, n, err)
	case err != nil:
	case p.Next == 0 && l.to == MaxHash:
		b.ended(now)
	case p.Next == 0:
		b.rotation.from = l.to + 1
	default:
		b.rotation.from = p.Next
	}
}

// refilled goes on with a lane that was asked for. What it has in the store may all be here
// already, not yet marked: then marking asks again, or the rotation finds more.
func (b *board) refilled(l *lane, n int, err error) {
	l.asked = false
	if l.head == nil && len(l.queue) == 0 && err == nil {
		l.more = false
	}
	if n > 0 || !l.more || err != nil {
		b.advance(l)
	}
}

// accept takes in the rows that are new here, are this drainer's, and may go. A row that may not
// holds back those of its key behind it.
func (b *board) accept(p Page, now time.Time) (n int) {
	stuck := map[string]struct{}{}
	for i := range p.Rows {
		r := &p.Rows[i]
		if h := b.topics[r.Event.Topic]; h != nil {
			h.seen = b.rotation.walk
		}
		key := r.Event.Key
		part := b.at(r.Hash)
		if _, back := stuck[key]; back && key != "" || part == nil || part.lease.Ending || part.born >= b.load.number || b.known(r) {
			continue
		}
		l := b.lanes[key]
		switch {
		case l != nil && l.failed != nil:
		case !b.mayGo(r, now):
			stuck[key] = struct{}{}
		case l != nil && len(l.queue) >= b.laneRows():
			l.more = true
			stuck[key] = struct{}{}
		default:
			b.add(r, part)
			n++
		}
	}
	if p.Cut && len(p.Rows) > 0 {
		if l := b.lanes[p.Rows[len(p.Rows)-1].Event.Key]; l != nil {
			l.more = true
		}
	}
	return n
}

// known reports whether a row is here, or was and may only be found because the page was
// being read then.
func (b *board) known(r *Row) bool {
	_, here := b.rows[r.ID]
	_, settled := b.load.ids[r.ID]
	_, failed := b.load.keys[r.Event.Key]
	return here || settled || failed
}

// mayGo reports whether a row is due and its topic not held. If not, the rotation looks
// again when it may.
func (b *board) mayGo(r *Row, now time.Time) bool {
	switch {
	case r.After > 0:
		b.dueAt(now.Add(r.After))
		return false
	case b.topics.held(r.Event.Topic, now):
		b.dueAt(b.topics[r.Event.Topic].until)
		return false
	}
	return true
}

// dueAt has the rotation look again at a time, if not before.
func (b *board) dueAt(t time.Time) {
	r := &b.rotation
	if r.due.IsZero() || t.Before(r.due) {
		r.due = t
	}
	if !r.on && t.Before(r.next) {
		r.next, r.early = t, true
	}
}

// roomy reports whether there is room for most of a page.
func (b *board) roomy() bool {
	return b.o.MaxRows-len(b.rows) >= b.pageRows()/2 && b.bytes < b.o.MaxBytes
}

// wantsLoad reports whether the loader should look again before the time that it was told.
func (b *board) wantsLoad() bool {
	return len(b.refills) > 0 || b.rotation.early || b.rotation.full && b.roomy()
}
