package simulation

import (
	"fmt"
	"io"
	"time"
)

// trace hashes every step, and writes it down if somebody wants to read it.
type trace struct {
	hash uint64
	out  io.Writer
}

func newTrace(out io.Writer) trace { return trace{hash: 14695981039346656037, out: out} }

func (t *trace) note(at time.Duration, what, who, about string, n int64) {
	t.number(uint64(at))
	t.text(what)
	t.text(who)
	t.text(about)
	t.number(uint64(n))
	if t.out != nil {
		_, _ = fmt.Fprintf(t.out, "%12.6f  %-6s %-18s %s %d\n", at.Seconds(), who, what, about, n)
	}
}

const prime = 1099511628211 // FNV-1a

func (t *trace) text(s string) {
	for i := range len(s) {
		t.hash = (t.hash ^ uint64(s[i])) * prime
	}
	t.hash = (t.hash ^ 0xff) * prime
}

func (t *trace) number(n uint64) { t.hash = (t.hash ^ n) * prime }
