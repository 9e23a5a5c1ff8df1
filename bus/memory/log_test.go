package memory

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
)

// held compares a log to the sequences that it should hold; stored is seq*10.
func held(t *rapid.T, l *eventLog, want map[uint64]bool) {
	t.Helper()
	first := l.next
	for seq := uint64(1); seq < l.next; seq++ {
		if l.hasEvent(seq) != want[seq] {
			t.Fatalf("has(%d) = %v", seq, l.hasEvent(seq))
		}
		if !want[seq] {
			continue
		}
		first = min(first, seq)
		if e := l.entryAt(seq); e.event.ID != fmt.Sprint(seq) || e.stored != int64(seq)*10 {
			t.Fatalf("at(%d) is %q, stored at %d", seq, e.event.ID, e.stored)
		}
	}
	if l.first != first || l.live != len(want) || l.hasEvent(l.next) {
		t.Fatalf("first %d, live %d; want %d, %d", l.first, l.live, first, len(want))
	}
	if kept := len(l.chunks) * chunkSize; uint64(kept) > l.next-l.first+2*chunkSize {
		t.Fatalf("%d entries are kept for %d", kept, l.next-l.first)
	}
}

func TestLogHoldsWhatWasAddedAndNotDeleted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l, want := newEventLog(), map[uint64]bool{}
		add := func(t *rapid.T) {
			for range rapid.IntRange(1, chunkSize).Draw(t, "n") {
				l.appendEvent(bus.Event{ID: fmt.Sprint(l.next)}, int64(l.next)*10)
				want[l.next-1] = true
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": add,
			"delete the oldest": func(t *rapid.T) {
				for range rapid.IntRange(1, chunkSize).Draw(t, "n") {
					if len(want) > 0 {
						delete(want, l.first)
						l.deleteEntry(l.first)
					}
				}
			},
			"delete": func(t *rapid.T) {
				if seq := rapid.Uint64Range(1, l.next).Draw(t, "seq"); want[seq] {
					delete(want, seq)
					l.deleteEntry(seq)
				}
			},
			"find by time": func(t *rapid.T) {
				seq := rapid.Uint64Range(l.first, l.next).Draw(t, "seq")
				if got := l.firstSince(int64(seq) * 10); got != seq {
					t.Fatalf("since the time of %d is %d", seq, got)
				}
				if got := l.firstSince(int64(seq)*10 - 9); got != seq {
					t.Fatalf("since before %d is %d", seq, got)
				}
			},
			"clone": func(*rapid.T) {
				before := l
				l = l.cloneEntries()
				if len(want) > 0 {
					before.deleteEntry(before.first)
				}
			},
			"": func(t *rapid.T) { held(t, l, want) },
		})
	})
}
