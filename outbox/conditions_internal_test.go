package outbox

import (
	"errors"
	"testing"
	"time"
)

// A drainer that has no row to try an outage with does not know of one.
func TestAnOutageEndsWithItsRows(t *testing.T) {
	t.Parallel()
	o, err := (*Options)(nil).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	b, now := newBoard(&o), time.Now()
	p := &part{lease: Lease{Last: MaxHash}}
	p.holds(now.Add(time.Hour))
	b.parts[0] = p
	b.add(&Row{ID: "a"}, p)
	b.outage.fail(errors.New("no answer"), now, false)
	b.ended(now)
	if b.outage.failures == 0 {
		t.Error("it is over while a row waits for it")
	}
	b.lose(p)
	b.ended(now)
	if b.outage.failures != 0 {
		t.Error("it goes on, and nothing will find out that it is over")
	}
}
