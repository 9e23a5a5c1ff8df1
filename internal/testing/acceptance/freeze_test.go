package acceptance

import (
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestFrozenWorkerMarksNothingAndSendsNothing: a worker that was stopped for longer than its
// lease finds its event taken over. What it would send then would settle or move the delivery of
// the new owner.
func TestFrozenWorkerMarksNothingAndSendsNothing(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		frozen := r.run("frozen", 1)
		answers := r.watchAnswers()
		r.publish(event("1", "1500ms", "effect"))
		r.ledger.await(t, 1, "start", "frozen", "1")
		frozen.signal(syscall.SIGSTOP)
		heir := r.start("heir", script{Concurrency: 1, Lease: 30 * time.Second}) // which it does not lose
		r.ledger.await(t, 1, "ready", "heir", "")
		r.ledger.await(t, 1, "start", "heir", "1")
		answers.forget()
		frozen.signal(syscall.SIGCONT)
		r.settled()
		// The frozen worker is still there and working, and told the bus nothing about its old
		// delivery, which was the first.
		r.publish(event("2", "effect"))
		r.settled()
		heir.stop()
		frozen.stop()
		if sent := answers.of(1, 1); len(sent) > 0 {
			t.Errorf("the frozen worker sent %q for a delivery that was no longer its own", sent)
		}
		if n := r.ledger.count("effect", "heir", "1"); n != 1 {
			t.Errorf("the heir had %d effects", n)
		}
		if n := r.ledger.count("effect", "", "2"); n != 1 {
			t.Errorf("%d effects of the event after", n)
		}
	})
}

// answers are what workers tell the bus.
type answers struct {
	mu   sync.Mutex
	sent []*nats.Msg
}

// watchAnswers listens to every answer on the server from now on.
func (r *rig) watchAnswers() *answers {
	r.t.Helper()
	a := &answers{}
	sub, err := r.nc.Subscribe("$JS.ACK.>", func(m *nats.Msg) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.sent = append(a.sent, m)
	})
	must(r.t, err)
	must(r.t, r.nc.Flush())
	r.t.Cleanup(func() { _ = sub.Unsubscribe() })
	return a
}

func (a *answers) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent = nil
}

// of are the answers to one delivery of the event at a sequence:
// $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.…
func (a *answers) of(sequence, delivered int) (sent []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range a.sent {
		tokens := strings.Split(m.Subject, ".")
		if n := len(tokens); n >= 7 && tokens[n-5] == itoa(delivered) && tokens[n-4] == itoa(sequence) {
			sent = append(sent, string(m.Data))
		}
	}
	return sent
}
