package memory_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
)

// model is a group's cursor, kept the slow and plain way.
type model struct {
	bus     *membus.Bus
	src     *membus.Source
	now     time.Time
	topic   string
	bound   int
	stored  map[uint64]bool // in the stream, of any topic
	matches map[uint64]bool // ever published to the group's topic
	out     map[uint64]*arrival
	queue   []uint64 // to be redelivered, in order
	settled map[uint64]bool
	lost    uint64
	seen    uint64 // the highest sequence delivered
	last    uint64
}

type arrival struct {
	n       int
	due     time.Time
	queued  bool
	delayed bool
	ds      []*bus.Delivery // all there were, also stale ones
}

func newModel(t *rapid.T) *model {
	m := &model{
		now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), bound: rapid.IntRange(1, 6).Draw(t, "bound"),
		topic:  rapid.SampledFrom([]string{">", "a", "*", "a.of2.1"}).Draw(t, "topic"),
		stored: map[uint64]bool{}, matches: map[uint64]bool{}, out: map[uint64]*arrival{}, settled: map[uint64]bool{},
	}
	var err error
	m.bus, err = membus.New(&membus.Options{
		Streams: []membus.Stream{{Name: name, Topics: []string{">"}, MaxUnsettled: m.bound}},
		Now:     func() time.Time { return m.now },
	})
	m.must(t, err)
	src, err := m.bus.Subscribe(t.Context(), m.topic, "g", &bus.SubscribeOptions{AckWait: wait})
	m.must(t, err)
	m.src = src.(*membus.Source)
	return m
}

func (m *model) must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *model) publish(t *rapid.T) {
	topic := rapid.SampledFrom([]string{"a", "b", "a.b", "a.of2.1", "a.of2.1.k", "a.of2.0"}).Draw(t, "to")
	receipts, err := m.bus.Publish(t.Context(), bus.Event{ID: fmt.Sprint(m.last), Topic: topic})
	m.must(t, err)
	m.last++
	if receipts[0].Sequence != m.last {
		t.Fatalf("sequence %d; want %d", receipts[0].Sequence, m.last)
	}
	m.stored[m.last] = true
	if bus.Match(m.topic, topic) || m.topic == "a.of2.1" && topic == "a.of2.1.k" {
		m.matches[m.last] = true
	}
}

// overdue queues what is due, the earliest first.
func (m *model) overdue() {
	var due []uint64
	for seq, a := range m.out {
		if !a.queued && !a.due.After(m.now) {
			due = append(due, seq)
		}
	}
	slices.SortFunc(due, func(x, y uint64) int {
		if c := m.out[x].due.Compare(m.out[y].due); c != 0 {
			return c
		}
		return int(x) - int(y)
	})
	for _, seq := range due {
		m.out[seq].queued, m.out[seq].delayed = true, false
	}
	m.queue = append(m.queue, due...)
}

// next is what must be delivered now; 0: nothing.
func (m *model) next() uint64 {
	if len(m.queue) > 0 {
		return m.queue[0]
	}
	for seq := m.seen + 1; seq <= m.last && m.inFlight() < m.bound; seq++ {
		if m.matches[seq] && m.stored[seq] {
			return seq
		}
	}
	return 0
}

// inFlight counts what is out and does not wait for the delay of its nak.
func (m *model) inFlight() (n int) {
	for _, a := range m.out {
		if !a.delayed {
			n++
		}
	}
	return n
}

func (m *model) unqueue(seq uint64) {
	m.queue = slices.DeleteFunc(m.queue, func(s uint64) bool { return s == seq })
}

func (m *model) take(t *rapid.T) {
	asked := rapid.IntRange(0, 4).Draw(t, "asked")
	ds, err := m.src.TryFetch(asked)
	m.must(t, err)
	m.overdue()
	for i := range asked {
		want := m.next()
		if i >= len(ds) && want == 0 {
			return
		}
		if i >= len(ds) || ds[i].At.Sequence != want {
			t.Fatalf("delivery %d of %d is not of %d", i, len(ds), want)
		}
		a := m.out[want]
		if a == nil {
			a = &arrival{}
			m.out[want] = a
		}
		m.unqueue(want)
		m.seen = max(m.seen, want)
		*a = arrival{n: a.n + 1, due: m.now.Add(wait), ds: append(a.ds, ds[i])}
		if ds[i].Arrivals != a.n {
			t.Fatalf("%d counts %d arrivals; want %d", want, ds[i].Arrivals, a.n)
		}
	}
	if len(ds) > asked {
		t.Fatalf("%d deliveries; %d were asked for", len(ds), asked)
	}
}

// settle settles or extends one that is out.
func (m *model) settle(t *rapid.T) {
	if len(m.out) == 0 {
		return
	}
	var seqs []uint64
	for seq := range m.out {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	seq := rapid.SampledFrom(seqs).Draw(t, "seq")
	m.overdue()
	a := m.out[seq]
	d := rapid.SampledFrom(a.ds).Draw(t, "delivery")
	switch rapid.SampledFrom([]string{"ack", "term", "nak", "delay", "extend"}).Draw(t, "how") {
	case "ack":
		m.done(seq, d.Ack(t.Context()))
	case "term":
		m.done(seq, d.Term(t.Context(), "no use"))
	case "nak":
		if d.Nak(t.Context(), 0) == nil && !a.queued {
			a.queued, a.delayed = true, false
			m.queue = append(m.queue, seq)
		}
	case "delay":
		after := time.Duration(rapid.IntRange(1, 90).Draw(t, "after")) * time.Second
		if d.Nak(t.Context(), after) == nil {
			a.queued, a.delayed, a.due = false, true, m.now.Add(after)
			m.unqueue(seq)
		}
	case "extend":
		if d.Extend(t.Context()) == nil && !a.queued {
			a.delayed, a.due = false, m.now.Add(wait)
		}
	}
}

// done takes an event off, unless its delivery was settled before.
func (m *model) done(seq uint64, err error) {
	if err == nil {
		delete(m.out, seq)
		m.unqueue(seq)
		m.settled[seq] = true
	}
}

func (m *model) remove(t *rapid.T) {
	if m.last == 0 {
		return
	}
	seq := rapid.Uint64Range(1, m.last).Draw(t, "seq")
	m.must(t, m.bus.Delete(name, seq))
	if m.stored[seq] && m.matches[seq] && seq > m.seen {
		m.lost++
	}
	delete(m.stored, seq)
	if m.out[seq] != nil {
		m.done(seq, nil)
	}
}

// rewind goes on with another source, from below the first event that is to be settled.
func (m *model) rewind(t *rapid.T) {
	src, err := m.bus.Subscribe(t.Context(), m.topic, "g", &bus.SubscribeOptions{AckWait: wait, Rewind: true})
	m.must(t, err)
	m.src = src.(*membus.Source)
	for seq := range m.out {
		m.seen = min(m.seen, seq-1)
	}
	m.out, m.queue = map[uint64]*arrival{}, nil
}

func (m *model) tick(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 45).Draw(t, "seconds")) * time.Second)
}

func (m *model) check(t *rapid.T) {
	info, err := m.src.Info(t.Context())
	m.must(t, err)
	m.overdue()
	var pending uint64
	for seq := range m.stored {
		if seq > m.seen && m.matches[seq] {
			pending++
		}
	}
	if info.Pending != pending || info.Unsettled != uint64(len(m.out)) || info.MaxUnsettled != uint64(m.bound+len(m.out)-m.inFlight()) || info.Lost != m.lost {
		t.Fatalf("%+v; want %d pending, %d unsettled, %d lost", info, pending, len(m.out), m.lost)
	}
	// The floor is the highest sequence below which nothing of the group's is to be settled.
	floor := uint64(0)
	for seq := uint64(1); seq <= m.last; seq++ {
		if m.out[seq] != nil || seq > m.seen && m.stored[seq] && m.matches[seq] {
			break
		}
		floor = seq
	}
	if info.Floor > floor || (len(m.out) > 0 && info.Floor != floor) {
		t.Fatalf("floor %d; want %d", info.Floor, floor)
	}
	if len(m.out) == 0 && info.Floor < m.seen {
		t.Fatalf("floor %d, and all up to %d is settled", info.Floor, m.seen)
	}
}

func TestACursorDoesWhatItsModelDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"publish": m.publish, "take": m.take, "settle": m.settle, "settle more": m.settle,
			"remove": m.remove, "tick": m.tick, "rewind": m.rewind, "": m.check,
		})
	})
}
