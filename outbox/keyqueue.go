package outbox

import (
	"cmp"
	"slices"
)

type trackedRow struct {
	row       Row
	size      int
	partition *heldPartition
	queue     *keyQueue // nil: it has no key
	state     rowState
	isProbe   bool   // it was taken to find out whether an outage is over
	result    Result // of a row in rowUnmarked
}

type rowState uint8

const (
	rowWaiting   rowState = iota // behind others of its key
	rowReady                     // to be published
	rowInFlight                  // being published
	rowUnmarked                  // published or given up, and not marked yet
	rowForgotten                 // dropped from memory
)

// keyQueue has the rows of one key. One of them is ready or in flight; when it is confirmed the
// next one becomes ready.
type keyQueue struct {
	key       string
	hash      uint64
	partition *heldPartition
	head      *trackedRow   // ready or in flight; nil: none is
	waiting   []*trackedRow // in order
	// moreStored says that the store has more rows of this key than are in memory.
	moreStored bool
	// refillAsked says that the queue is in scheduler.refillQueue.
	refillAsked bool
	// failedHead is the former head, which was refused or given up. Until it is marked, no row of
	// the key is read. Nil: no row has failed.
	failedHead *trackedRow
}

func compareRows(a, b *trackedRow) int {
	return cmp.Or(cmp.Compare(a.row.Seq, b.row.Seq), cmp.Compare(a.row.ID, b.row.ID))
}

// insert puts a row in its place. It nearly always comes last.
func (q *keyQueue) insert(it *trackedRow) {
	if n := len(q.waiting); n == 0 || compareRows(q.waiting[n-1], it) < 0 {
		q.waiting = append(q.waiting, it)
		return
	}
	i, _ := slices.BinarySearchFunc(q.waiting, it, compareRows)
	q.waiting = slices.Insert(q.waiting, i, it)
}

func (q *keyQueue) pop() *trackedRow {
	it := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	return it
}
