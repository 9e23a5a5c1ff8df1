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
	b, now := newScheduler(&o), time.Now()
	p := &heldPartition{lease: Lease{Last: MaxHash}}
	p.setLeaseEnd(now.Add(time.Hour))
	b.partitions[0] = p
	b.addRow(&Row{ID: "a"}, p)
	b.outage.recordFailure(errors.New("no answer"), now, false)
	b.endScan(now)
	if b.outage.failures == 0 {
		t.Error("it is over while a row waits for it")
	}
	b.losePartition(p)
	b.endScan(now)
	if b.outage.failures != 0 {
		t.Error("it goes on, and nothing will find out that it is over")
	}
}
