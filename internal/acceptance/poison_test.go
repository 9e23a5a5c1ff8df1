package acceptance

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/faulty"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestPoisonEventTakesNoInnocentWithIt: an event that kills its process, among 200 that do not, in three processes that are started
// again whenever they die. It alone is dead-lettered.
func TestPoisonEventTakesNoInnocentWithIt(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		var es []bus.Event
		for i := range 200 {
			if i == 100 {
				es = append(es, event("poison", "die"))
			}
			es = append(es, event(fmt.Sprintf("innocent-%d", i), "5ms", "effect"))
		}
		r.publish(es...)
		stop := make(chan struct{})
		ended := make(chan struct{})
		for i := range 3 {
			go func() {
				defer func() { ended <- struct{}{} }()
				r.keepRunning(fmt.Sprintf("worker-%d", i), stop)
			}()
		}
		r.settled()
		close(stop)
		for range 3 {
			<-ended
		}
		letters := r.letters()
		for _, l := range letters {
			if l.Event.ID != "poison" || !strings.HasPrefix(l.Reason, "crashed: 5 processes died") || l.Crashes != 5 {
				t.Errorf("dead-lettered %s: %s", l.Event.ID, l.Reason)
			}
		}
		if len(letters) != 1 {
			t.Errorf("%d letters", len(letters))
		}
		if n := r.ledger.count("start", "", "poison"); n != 5 {
			t.Errorf("the poison event ran %d times", n)
		}
		if n := len(r.effects("innocent-")); n != 200 {
			t.Errorf("%d of 200 innocents had their effect", n)
		}
	})
}

// keepRunning starts a worker again whenever it dies, as a supervisor does.
func (r *rig) keepRunning(name string, stop <-chan struct{}) {
	for life := 0; ; life++ {
		p := r.start(fmt.Sprintf("%s.%d", name, life), script{Concurrency: 8})
		select {
		case <-p.gone:
		case <-stop:
			p.kill()
			return
		}
	}
}

// TestOwnerKilledWhileBurying: between `dying` and the letter, and between the letter and `dead`. There is one letter.
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
