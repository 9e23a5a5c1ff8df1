package outbox

import (
	"cmp"
	"slices"
)

// item is a row in memory.
type item struct {
	row    Row
	size   int
	part   *part
	lane   *lane // nil: it has no key
	state  state
	probe  bool   // it was taken to find out whether an outage is over
	result Result // of unsettled
}

type state uint8

const (
	waiting   state = iota // in its lane, behind others
	ready                  // to be published
	flying                 // being published
	unsettled              // published or given up, and not marked
	gone                   // forgotten
)

// lane has the rows of one key. One of them is ready or flying; when that is confirmed the next
// one may start.
type lane struct {
	key   string
	hash  uint64
	part  *part
	head  *item   // ready or flying; nil: none
	queue []*item // waiting, in order
	// more: the store has more rows of this key than came.
	more bool
	// asked: it is among those to be refilled.
	asked bool
	// failed was its head; that is not marked yet, and nothing of the key is loaded meanwhile.
	// Nil: all is well.
	failed *item
}

func compare(a, b *item) int {
	if c := cmp.Compare(a.row.Seq, b.row.Seq); c != 0 {
		return c
	}
	return cmp.Compare(a.row.ID, b.row.ID)
}

// insert puts an item in its place. It nearly always comes last.
func (l *lane) insert(it *item) {
	if n := len(l.queue); n == 0 || compare(l.queue[n-1], it) < 0 {
		l.queue = append(l.queue, it)
		return
	}
	i, _ := slices.BinarySearchFunc(l.queue, it, compare)
	l.queue = slices.Insert(l.queue, i, it)
}

func (l *lane) pop() *item {
	it := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return it
}
