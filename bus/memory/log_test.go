package memory

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
)

// held compares a log to the sequences that it should hold; stored is seq*10.
func held(t *rapid.T, l *log, want map[uint64]bool) {
	t.Helper()
	first := l.next
	for seq := uint64(1); seq < l.next; seq++ {
		if l.has(seq) != want[seq] {
			t.Fatalf("has(%d) = %v", seq, l.has(seq))
		}
		if !want[seq] {
			continue
		}
		first = min(first, seq)
		if e := l.at(seq); e.event.ID != fmt.Sprint(seq) || e.stored != int64(seq)*10 {
			t.Fatalf("at(%d) is %q, stored at %d", seq, e.event.ID, e.stored)
		}
	}
	if l.first != first || l.live != len(want) || l.has(l.next) {
		t.Fatalf("first %d, live %d; want %d, %d", l.first, l.live, first, len(want))
	}
	if kept := len(l.chunks) * chunk; uint64(kept) > l.next-l.first+2*chunk {
		t.Fatalf("%d entries are kept for %d", kept, l.next-l.first)
	}
}

func TestLogHoldsWhatWasAddedAndNotDeleted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l, want := newLog(), map[uint64]bool{}
		add := func(t *rapid.T) {
			for range rapid.IntRange(1, chunk).Draw(t, "n") {
				l.add(bus.Event{ID: fmt.Sprint(l.next)}, int64(l.next)*10)
				want[l.next-1] = true
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": add,
			"delete the oldest": func(t *rapid.T) {
				for range rapid.IntRange(1, chunk).Draw(t, "n") {
					if len(want) > 0 {
						delete(want, l.first)
						l.delete(l.first)
					}
				}
			},
			"delete": func(t *rapid.T) {
				if seq := rapid.Uint64Range(1, l.next).Draw(t, "seq"); want[seq] {
					delete(want, seq)
					l.delete(seq)
				}
			},
			"find by time": func(t *rapid.T) {
				seq := rapid.Uint64Range(l.first, l.next).Draw(t, "seq")
				if got := l.since(int64(seq) * 10); got != seq {
					t.Fatalf("since the time of %d is %d", seq, got)
				}
				if got := l.since(int64(seq)*10 - 9); got != seq {
					t.Fatalf("since before %d is %d", seq, got)
				}
			},
			"clone": func(*rapid.T) {
				before := l
				l = l.clone()
				if len(want) > 0 {
					before.delete(before.first)
				}
			},
			"": func(t *rapid.T) { held(t, l, want) },
		})
	})
}
