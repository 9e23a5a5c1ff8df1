package simulation

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// testEvent is one event that somebody wants handled: a topic, an id, and a payload. What became of
// it is noted here.
type testEvent struct {
	name   string
	event  bus.Event
	key    dedupe.Key
	script script
	times  int // for scripts that do something some times
	reused bool

	sequences []uint64        // where it was stored
	confirmed []time.Duration // when the publisher was told so
	lost      bool            // by the bus
	picked    bool            // its success was refused for long
	forgotten bool            // its row vanished, and somebody else claimed it
	misled    bool            // settled by an ack for what had its sequence before the bus was restored

	runs    []*run
	effects []*run
	letters []letter
	marked  bool // its own payload
}

// letter is a dead letter as it was stored.
type letter struct{ id, reason string }

// hash is the fingerprint of the payload, which is a number.
func (t *testEvent) hash() []byte { return t.event.Data }

func (t *testEvent) expected() bool { return len(t.confirmed) > 0 && !t.lost && !t.misled }

// concluded reports whether an ack may be sent for it.
func (t *testEvent) concluded() bool { return t.marked || t.deadLettered() }

// onlyOutages reports whether it ran, and no run of it got through to the receiver, as
// nobody's did.
func (t *testEvent) onlyOutages() bool {
	return len(t.runs) > 0 && !slices.ContainsFunc(t.runs, func(r *run) bool { return !r.plan.outage })
}

func (t *testEvent) deadLettered() bool { return len(t.letters) > 0 }

// received is an event with control headers, which a handler should not see.
var received = bus.Event{ID: "received", Topic: "shop.a"}.WithControl(bus.Control{Letter: "l", Redriven: "r", Group: "another group"})

// drawEvents makes the events of a simulation. Ids are used on two topics, and again for
// other payloads.
func drawEvents(sim *simulation) []*testEvent {
	events := make([]*testEvent, sim.sc.events)
	for i := range events {
		topic, id := "shop."+pick(sim.rand, "a", "b"), "id"+strconv.Itoa(i)
		t := &testEvent{name: strconv.Itoa(i), script: drawScript(sim), times: 1 + sim.rand.IntN(3)}
		if i > 0 && sim.chance(0.2) {
			other := events[sim.rand.IntN(i)]
			id = other.event.ID
			if sim.chance(0.5) {
				topic = other.event.Topic
			}
		}
		t.event = bus.Event{ID: id, Topic: topic, Data: binary.BigEndian.AppendUint32(nil, uint32(i))}
		t.event.Key = pick(sim.rand, sim.sc.keys...)
		if i%4 == 3 { // a handler passed on the headers of what it had received
			t.event.Headers = received.Headers
		}
		t.key = dedupe.Key{Topic: topic, Group: group, ID: t.event.Identity()}
		events[i] = t
	}
	markReused(events)
	return events
}

// markReused marks the events that share their id, and lets nothing else go wrong with them.
func markReused(events []*testEvent) {
	for i, t := range events {
		for _, o := range events[:i] {
			if o.key == t.key {
				t.reused, o.reused = true, true
				t.script, o.script = fine, fine
			}
		}
	}
}

// journal records what happened, outside of the system that is tested.
type journal struct {
	events []*testEvent
	at     map[uint64]*testEvent // what lies where on the bus now
	lies   map[uint64]bus.Position
}

func newJournal(sim *simulation) journal {
	return journal{events: drawEvents(sim), at: make(map[uint64]*testEvent), lies: make(map[uint64]bus.Position)}
}

// of finds the testEvent that an event is.
func (j *journal) of(e *bus.Event) *testEvent { return j.byHash(e.Data) }

func (j *journal) byHash(hash []byte) *testEvent { return j.events[binary.BigEndian.Uint32(hash)] }

// run is one run of a handler.
type run struct {
	event   *testEvent
	process *process
	claim   *claim // nil in mode seen/mark
	plan    plan

	transaction *transaction // nil in other modes

	began, ended time.Duration
	probe        bool // it began while the receiver was taken to be unavailable
	done         bool
	succeeded    bool
	effected     bool
	cancelled    bool
}

func (r *run) String() string {
	return strings.Join([]string{r.event.name, "in", r.process.id, "from", r.began.String()}, " ")
}
