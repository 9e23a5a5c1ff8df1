package demo

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

func at(ms int) time.Time { return time.Unix(1_000_000, 0).Add(time.Duration(ms) * time.Millisecond) }

func did(id string, pid, ms int) journal.Record {
	return journal.Record{What: journal.Effect, ID: id, PID: pid, At: at(ms)}
}

func killed(pid, ms int) journal.Kill { return journal.Kill{PID: pid, Sent: at(ms), Gone: at(ms + 5)} }

func TestCount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		journal                          []journal.Record
		kills                            []journal.Kill
		effects, repeated, mystery, lost int
	}{
		"once each":                         {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0)}, effects: 2},
		"lost":                              {journal: []journal.Record{did("a", 1, 0)}, effects: 1, lost: 1},
		"nothing":                           {lost: 2},
		"killed after the effect":           {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), did("a", 2, 2000)}, kills: []journal.Kill{killed(1, 900)}, effects: 3, repeated: 1},
		"killed in the act":                 {journal: []journal.Record{did("a", 1, 3), did("b", 2, 0), did("a", 2, 2000)}, kills: []journal.Kill{killed(1, 0)}, effects: 3, repeated: 1},
		"killed after the mark":             {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), {What: journal.Handled, ID: "a", PID: 1, At: at(5)}, did("a", 2, 4000)}, kills: []journal.Kill{killed(1, 10)}, effects: 3, repeated: 1, mystery: 1},
		"killed after another's mark":       {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), {What: journal.Handled, ID: "b", PID: 1, At: at(5)}, {What: journal.Handled, ID: "a", PID: 2, At: at(5)}, did("a", 2, 4000)}, kills: []journal.Kill{killed(1, 10)}, effects: 3, repeated: 1},
		"killed before a late mark":         {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), did("a", 2, 5000)}, kills: []journal.Kill{killed(1, 3000)}, effects: 3, repeated: 1},
		"killed before":                     {journal: []journal.Record{did("a", 1, 100), did("b", 2, 0), did("a", 2, 4000)}, kills: []journal.Kill{killed(1, 50)}, effects: 3, repeated: 1, mystery: 1},
		"another was killed":                {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), did("a", 2, 2000)}, kills: []journal.Kill{killed(2, 2100)}, effects: 3, repeated: 1, mystery: 1},
		"nobody was killed":                 {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), did("a", 2, 2000)}, effects: 3, repeated: 1, mystery: 1},
		"the same process":                  {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), did("a", 1, 10)}, kills: []journal.Kill{killed(1, 20)}, effects: 3, repeated: 1, mystery: 1},
		"at the same time":                  {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), did("a", 2, 100)}, kills: []journal.Kill{killed(1, 200)}, effects: 3, repeated: 1, mystery: 1},
		"one kill explains one repeat":      {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), did("a", 2, 2000), did("a", 3, 2001)}, kills: []journal.Kill{killed(1, 5)}, effects: 4, repeated: 2, mystery: 1},
		"two kills explain two":             {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), did("a", 2, 2000), did("a", 3, 5000)}, kills: []journal.Kill{killed(1, 5), killed(2, 2005)}, effects: 4, repeated: 2},
		"a process id that was used again":  {journal: []journal.Record{did("a", 1, 2000), did("b", 2, 0), did("a", 2, 6000)}, kills: []journal.Kill{killed(1, 5)}, effects: 3, repeated: 1, mystery: 1},
		"an event that never was":           {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), did("x", 1, 5)}, effects: 3, repeated: 1, mystery: 1},
		"a repeat does not make up for one": {journal: []journal.Record{did("a", 1, 0), did("a", 2, 2000)}, kills: []journal.Kill{killed(1, 5)}, effects: 2, repeated: 1, lost: 1},
	} {
		b := journal.NewTally([]string{"a", "b"})
		b.Add(c.journal)
		b.Add([]journal.Record{{What: journal.Failed, ID: "a", PID: 1, At: at(0)}, {What: journal.Duplicate, ID: "-", PID: 1, At: at(0)}, {What: journal.Dead, ID: "b", PID: 1, At: at(0)}, {What: journal.Lost, ID: "b", PID: 1, At: at(0)}})
		r := newResult(&demoPlan{ids: []string{"a", "b"}}, b, c.kills, 3, 4, time.Second)
		most := min(1, c.repeated-c.mystery) // the kills here cut off one effect each
		want := Result{
			Published: 3, Unique: 2, Deliveries: 4, Duplicates: 1, Failures: 1, Kills: len(c.kills), Effects: c.effects,
			Repeated: c.repeated, RepeatedUnexplained: c.mystery, MostPerKill: most, Lost: c.lost, Seconds: 1, EventsPerSecond: 2,
			late: 1, dead: 1,
		}
		if r != want {
			t.Errorf("%s: %+v, want %+v", name, r, want)
		}
		if broken := r.Err() != nil; broken != (c.lost > 0 || c.mystery > 0) {
			t.Errorf("%s: %v", name, r.Err())
		}
	}
}

// A kill repeats no more than its process had slots for. What was taken over from it before is
// not among that.
func TestKillExplainsAsManyRepeatsAsThereAreSlots(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ repeats, takenOver, mystery int }{
		"as many":                    {repeats: concurrency},
		"one more":                   {repeats: concurrency + 1, mystery: 1},
		"many more":                  {repeats: 500, mystery: 500 - concurrency},
		"one more, one taken over":   {repeats: concurrency + 1, takenOver: 1},
		"three more, two taken over": {repeats: concurrency + 3, takenOver: 2, mystery: 1},
	} {
		ids := make([]string, c.repeats)
		for i := range ids {
			ids[i] = "order-" + strconv.Itoa(i)
		}
		b := journal.NewTally(ids)
		for _, id := range ids {
			b.Add([]journal.Record{did(id, 1, 0), did(id, 2, 2000)})
		}
		for i := range c.takenOver {
			b.Add([]journal.Record{{What: journal.Lost, ID: ids[i], PID: 1, At: at(0)}})
		}
		r := newResult(&demoPlan{ids: ids}, b, []journal.Kill{killed(1, 5), killed(2, 9000)}, c.repeats, c.repeats, time.Second)
		if r.Repeated != c.repeats || r.RepeatedUnexplained != c.mystery || r.MostPerKill != c.repeats-c.takenOver {
			t.Errorf("%s: repeated %d, unexplained %d, most per kill %d, want %d, %d and %d", name, r.Repeated, r.RepeatedUnexplained, r.MostPerKill,
				c.repeats, c.mystery, c.repeats-c.takenOver)
		}
	}
}

// What documents have counted is what counts, whatever the journal says and whoever was killed.
func TestRecount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		journal                 []journal.Record
		documents               map[string]int
		effects, repeated, lost int
	}{
		"once each":                  {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0)}, documents: map[string]int{"a": 1, "b": 1}, effects: 2},
		"killed before it wrote it":  {journal: []journal.Record{did("a", 1, 0), {What: journal.Found, ID: "b", PID: 2, At: at(9)}}, documents: map[string]int{"a": 1, "b": 1}, effects: 2},
		"twice, and somebody killed": {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0), did("a", 2, 9)}, documents: map[string]int{"a": 2, "b": 1}, effects: 3, repeated: 1},
		"lost, for all the journal":  {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0)}, documents: map[string]int{"a": 1}, effects: 1, lost: 1},
		"what never was":             {journal: []journal.Record{did("a", 1, 0), did("b", 2, 0)}, documents: map[string]int{"a": 1, "b": 1, "x": 1}, effects: 3, repeated: 1},
		"nothing":                    {lost: 2},
	} {
		b := journal.NewTally([]string{"a", "b"})
		b.Add(c.journal)
		if c.lost < 2 && b.Done != 2 {
			t.Errorf("%s: %d are done by the journal", name, b.Done)
		}
		r := newResult(&demoPlan{ids: []string{"a", "b"}}, b, []journal.Kill{killed(1, 5)}, 2, 2, time.Second)
		r.recountDocuments([]string{"a", "b"}, c.documents)
		if !r.Atomic || r.Effects != c.effects || r.Repeated != c.repeated || r.RepeatedUnexplained != c.repeated || r.Lost != c.lost {
			t.Errorf("%s: %+v", name, r)
		}
		if broken := r.Err() != nil; broken != (c.lost+c.repeated > 0) {
			t.Errorf("%s: %v", name, r.Err())
		}
	}
}

func TestVerdictTellsWhy(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Result{
		"Nothing lost, nothing repeated.": {},
		"Nothing lost. Repeated: 1,234, each because its worker was killed after the effect and before its mark was stored.": {Repeated: 1234},
		"BROKEN: 2 lost, 0 repeated without a reason.\n1 events were given up as dead letters.":                              {Lost: 2, dead: 1},
		"BROKEN: 0 lost, 3 repeated without a reason.\n3 claims ended while their workers lived":                             {Repeated: 4, RepeatedUnexplained: 3, late: 3},
	} {
		var b strings.Builder
		r.Atomic = r.Repeated == r.RepeatedUnexplained
		if err := r.Report(&b); err != nil || !strings.Contains(b.String(), "\n"+want) {
			t.Errorf("%v, want %q:\n%s", err, want, &b)
		}
		if one := strings.Contains(b.String(), "change and mark are one write"); one != r.Atomic || one == strings.Contains(b.String(), "  explained ") {
			t.Errorf("atomic %v:\n%s", r.Atomic, &b)
		}
	}
}
