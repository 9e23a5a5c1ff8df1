package outbox

import (
	"time"
)

// board is what a drainer has in memory. It has no goroutines, clock or I/O; the drainer's
// lock guards it.
type board struct {
	o *Options

	parts  map[int]*part
	order  []*part          // the same, by hash
	ending int              // how many of them are
	rows   map[string]*item // all but those that are gone
	lanes  map[string]*lane
	bytes  int

	ready   []*item // what may be published, in the order in which it became so; some are gone
	results []*item // what is to be marked, in order; some are gone
	flying  int
	marking int // unsettled, in results or being marked

	topics   topics
	outage   outage
	refills  []*lane
	load     load
	rotation rotation
	closing  bool
	closed   error // the bus is, for good
	stats    Stats
}

func newBoard(o *Options) board {
	return board{
		o: o, parts: map[int]*part{}, rows: map[string]*item{}, lanes: map[string]*lane{}, topics: topics{},
		load: load{ids: map[string]struct{}{}, keys: map[string]struct{}{}},
	}
}

// add takes in a row that is new here.
func (b *board) add(r *Row, p *part) {
	it := &item{row: *r, size: Size(&r.Event), part: p}
	b.rows[r.ID] = it
	b.bytes += it.size
	if r.Event.Key == "" {
		b.makeReady(it)
		return
	}
	l := b.lanes[r.Event.Key]
	if l == nil {
		l = &lane{key: r.Event.Key, hash: r.Hash, part: p}
		b.lanes[r.Event.Key] = l
	}
	it.lane = l
	l.insert(it)
	b.advance(l)
}

// advance makes the next row of a lane ready if none is, and forgets a lane that has ended.
func (b *board) advance(l *lane) {
	if l.head == nil && len(l.queue) > 0 {
		l.head = l.pop()
		b.makeReady(l.head)
	}
	if l.more && !l.asked && len(l.queue) <= b.laneRows()/4 {
		l.asked = true
		b.refills = append(b.refills, l)
	}
	if l.head == nil && !l.more && l.failed == nil {
		b.end(l)
	}
}

// laneRows is how many rows of one key may wait in memory: many if there are few keys.
func (b *board) laneRows() int {
	return max(16, min(b.pageRows(), b.o.MaxRows/(4*(len(b.lanes)+1))))
}

// pageRows is how many rows are read at once.
func (b *board) pageRows() int { return min(2_000, b.o.MaxRows/4) }

func (b *board) makeReady(it *item) {
	it.state = ready
	b.ready = append(b.ready, it)
}

// take takes what may be published now: at most a batch.
func (b *board) take(now time.Time) []*item {
	most := min(b.o.Batch, b.o.MaxRows/2-b.marking-b.flying, b.outage.room(now, b.o.Batch))
	var batch, late []*item
	bytes := 0
	for len(batch) < most && len(b.ready) > 0 && bytes < maxCall {
		it := b.ready[0]
		b.ready[0] = nil
		b.ready = b.ready[1:]
		switch {
		case it.state != ready:
		case !it.part.mayStart(now, b.o.Lease):
			late = append(late, it)
		case b.topics.held(it.row.Event.Topic, now):
			b.dueAt(b.topics[it.row.Event.Topic].until)
			b.putBack(it)
		default:
			it.state, it.probe = flying, b.outage.failures > 0
			it.part.busy++
			b.flying++
			bytes += it.size
			batch = append(batch, it)
		}
	}
	b.ready = append(b.ready, late...)
	b.outage.probing = b.outage.probing || len(batch) > 0 && batch[0].probe
	return batch
}

// maxCall bounds the bytes of one call to the bus.
const maxCall = 4 << 20

// forget drops a row from memory.
func (b *board) forget(it *item) {
	switch it.state {
	case flying:
		b.flying--
		it.part.busy--
	case unsettled:
		b.marking--
		it.part.busy--
	case waiting, ready:
	case gone:
		return
	}
	it.state = gone
	b.bytes -= it.size
	delete(b.rows, it.row.ID)
}

// putBack drops a row that cannot be published now, and those behind it. They are loaded again.
func (b *board) putBack(it *item) {
	b.forget(it)
	if l := it.lane; l != nil {
		b.empty(l)
		l.head = nil
		b.end(l)
	}
}

// empty drops what waits in a lane.
func (b *board) empty(l *lane) {
	for _, it := range l.queue {
		b.forget(it)
	}
	l.queue, l.more = nil, false
}

// end forgets a lane, if it is still the one of its key.
func (b *board) end(l *lane) {
	if b.lanes[l.key] == l {
		delete(b.lanes, l.key)
	}
}
