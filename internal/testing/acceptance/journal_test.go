package acceptance

import (
	"bufio"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// entry is one line of the journal.
type entry struct{ what, who, id string }

// ledger collects what worker processes say.
type ledger struct {
	mu      sync.Mutex
	entries []entry
	changed chan struct{} // closed and replaced with each entry
}

func newLedger() *ledger { return &ledger{changed: make(chan struct{})} }

func (l *ledger) read(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		words := strings.SplitN(lines.Text(), " ", 3)
		l.add(entry{words[0], words[1], words[2]})
	}
}

func (l *ledger) add(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
	close(l.changed)
	l.changed = make(chan struct{})
}

// count tells how many entries fit; empty strings fit everything.
func (l *ledger) count(what, who, id string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return count(l.entries, what, who, id)
}

func count(entries []entry, what, who, id string) (n int) {
	for _, e := range entries {
		if (what == "" || e.what == what) && (who == "" || e.who == who) && (id == "" || e.id == id) {
			n++
		}
	}
	return n
}

// await waits for at least n entries that fit.
func (l *ledger) await(t *testing.T, n int, what, who, id string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		got, changed := count(l.entries, what, who, id), l.changed
		l.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited %v for %d × %q by %q for event %q: got %d", patience, n, what, who, id, got)
		}
	}
}

// patience is far longer than anything takes on a slow machine.
const patience = 4 * time.Minute

// say adds an entry of the test's own process.
func (l *ledger) say(what, who, id string) { l.add(entry{what, who, id}) }
