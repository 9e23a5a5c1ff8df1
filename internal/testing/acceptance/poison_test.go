package acceptance

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/faulty"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestPoisonEventTakesNoInnocentWithIt: an event that kills its process, among many that do not, in
// processes that are started again whenever they die. It alone is dead-lettered. A single process
// is the hardest: all innocents are in hand each time it strikes.
func TestPoisonEventTakesNoInnocentWithIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ processes, innocents int }{{3, 200}, {1, 50}} {
		t.Run(fmt.Sprintf("%d processes, %d innocents", c.processes, c.innocents), func(t *testing.T) {
			onStores(t, func(r *rig) {
				var es []bus.Event
				for i := range c.innocents {
					if i == c.innocents/2 {
						es = append(es, event("poison", "die"))
					}
					es = append(es, event(fmt.Sprintf("innocent-%d", i), "50ms", "effect"))
				}
				r.publish(es...)
				r.keepRunning(c.processes)
				r.poisonedAlone(c.innocents)
			})
		})
	}
}

// poisonedAlone checks who was dead-lettered.
func (r *rig) poisonedAlone(innocents int) {
	r.t.Helper()
	letters := r.letters()
	for _, l := range letters {
		if l.Event.ID != "poison" || !strings.HasPrefix(l.Reason, "crashed: 5 processes died") || l.Crashes != 5 {
			r.t.Errorf("dead-lettered %s: %s", l.Event.ID, l.Reason)
		}
	}
	if len(letters) != 1 {
		r.t.Errorf("%d letters", len(letters))
	}
	if n := r.ledger.count("start", "", "poison"); n != 5 {
		r.t.Errorf("the poison event ran %d times", n)
	}
	if n := len(r.effects("innocent-")); n != innocents {
		r.t.Errorf("%d of %d innocents had their effect", n, innocents)
	}
}

// keepRunning starts workers again whenever they die, as a supervisor does, until all is settled.
func (r *rig) keepRunning(processes int) {
	stop := make(chan struct{})
	var supervisors sync.WaitGroup
	for i := range processes {
		supervisors.Go(func() {
			for life := 0; ; life++ {
				p := r.start(fmt.Sprintf("worker-%d.%d", i, life), script{Concurrency: 100})
				select {
				case <-p.gone:
				case <-stop:
					p.kill()
					return
				}
			}
		})
	}
	r.settled()
	close(stop)
	supervisors.Wait()
}

// TestOwnerKilledWhileBurying: between `dying` and the letter, and between the letter and `dead`.
// There is one letter.
func TestOwnerKilledWhileBurying(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]death{
		"before dying":             {At: faulty.Settle},
		"between dying and letter": {At: faulty.Publish},
		"between letter and dead":  {At: faulty.Publish, After: true},
		"before dead":              {At: faulty.Settle, Nth: 2},
		"between dead and ack":     {At: faulty.Settle, Nth: 2, After: true},
	} {
		t.Run(name, func(t *testing.T) {
			onStores(t, func(r *rig) {
				p := r.start("killed", script{Concurrency: 1, Die: die})
				r.publish(event("1", "permanent"))
				p.awaitGone()
				heir := r.run("heir", 1)
				r.settled()
				heir.stop()
				letters := r.letters()
				for _, l := range letters {
					if l.Event.ID != "1" || l.Reason != "permanent: as told" {
						t.Errorf("letter %+v", l)
					}
				}
				if len(letters) != 1 {
					t.Errorf("%d letters", len(letters))
				}
				want := 0
				if name == "before dying" {
					want = 1
				}
				if n := r.ledger.count("start", "heir", "1"); n != want {
					t.Errorf("the heir ran the handler %d times, want %d", n, want)
				}
			})
		})
	}
}

// A process dies when the stream has its letter, and before it knows. When another one takes the
// event over, the stream has forgotten the letter's id, and still keeps it once.
func TestLetterIsStoredOnceThoughTheStreamForgets(t *testing.T) {
	t.Parallel()
	onStoresOf(t, brief, func(r *rig) {
		p := r.start("killed", script{Concurrency: 1, Die: death{At: faulty.Publish, After: true}})
		r.publish(event("1", "permanent"))
		p.awaitGone()
		if n := len(r.letters()); n != 1 {
			r.t.Fatalf("%d letters when the process is gone, want 1", n)
		}
		heir := r.run("heir", 1)
		r.settled()
		heir.stop()
		if n := len(r.letters()); n != 1 {
			r.t.Errorf("%d letters, want 1", n)
		}
	})
}
