package ndjson

import "slices"

// keyQueues are the lines of a batch that are not stored yet, by their keys. One line of each may
// be in flight: a bus that fails, such as one whose leader changes, may store a later line and not
// this one, which would then come behind it.
type keyQueues struct {
	batch   lineBatch
	waiting [][]int // places in the batch, in order; none is empty
}

// newKeyQueues puts lines that keep their order into one queue.
func newKeyQueues(b lineBatch, o Order) *keyQueues {
	q := &keyQueues{batch: b}
	at := make(map[string]int)
	for i := range b.events {
		key, alone := b.events[i].Key, o == OrderNone
		switch o {
		case OrderAll:
			key = ""
		case OrderKeys:
			alone = key == ""
		case OrderNone:
		}
		n, ok := at[key]
		if !ok || alone {
			n = len(q.waiting)
			at[key] = n
			q.waiting = append(q.waiting, nil)
		}
		q.waiting[n] = append(q.waiting[n], i)
	}
	return q
}

// headLines are the first lines of all keys.
func (q *keyQueues) headLines() lineBatch {
	var b lineBatch
	for _, places := range q.waiting {
		b.addEvent(q.batch.events[places[0]], q.batch.lines[places[0]])
	}
	return b
}

// removeSettled takes out those of the heads that are settled. It reports whether any is.
func (q *keyQueues) removeSettled(settled []bool) (some bool) {
	for i, is := range settled {
		if is {
			some = true
			q.waiting[i] = q.waiting[i][1:]
		}
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(places []int) bool { return len(places) == 0 })
	return some
}

// leftLines is how many lines wait, and the numbers of the first and the last one.
func (q *keyQueues) leftLines() (n, first, last int) {
	for _, places := range q.waiting {
		head, end := q.batch.lines[places[0]], q.batch.lines[places[len(places)-1]]
		if n == 0 || head < first {
			first = head
		}
		n, last = n+len(places), max(last, end)
	}
	return n, first, last
}
