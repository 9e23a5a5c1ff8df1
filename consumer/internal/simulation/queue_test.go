package simulation

import (
	"time"
)

// step is something that happens at a time. What belongs to a process waits while that is frozen,
// and never happens once it is over.
type step struct {
	at      time.Duration
	serial  uint64
	process *process
	do      func()
}

func (s *step) before(o *step) bool {
	return s.at < o.at || s.at == o.at && s.serial < o.serial
}

// queue is a heap of steps, the next one on top.
type queue []step

func (q *queue) push(s step) {
	h := append(*q, s)
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].before(&h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
	*q = h
}

func (q *queue) pop() step {
	h := *q
	top, last := h[0], len(h)-1
	h[0] = h[last]
	h[last] = step{}
	h = h[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if h[child].before(&h[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*q = h
	return top
}
