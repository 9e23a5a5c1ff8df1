package consumertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// world is what one run takes place in: a bus, a store, and the processes of the group. It lives in
// a bubble.
type world struct {
	*scenario
	point  point
	bus    *membus.Bus
	store  *memdedupe.Store
	source bus.Source // of the group, for its state

	released chan struct{} // closed once the effects of the run were read
	halted   chan struct{} // gets one value when the fault halts a process
	answered chan struct{} // holds one value: a delivery was answered, or a handler has returned

	mu           sync.Mutex
	processes    []*process
	published    time.Time
	labels       map[uint64]string // of events, by their sequence
	observations map[uint64][]observation
	reached      map[step]int // by steps without a number
	steps        []step
	hasFired     bool
	runs         map[*handlerRun]struct{}
	droppedAcks  map[uint64]bool
	lateCall     step // of a handler that had returned
}

// observation is how a delivery ended, and when.
type observation struct {
	consumer.Observation
	at time.Time
}

func newWorld(s *scenario, at point) (*world, error) {
	b, err := membus.New(&membus.Options{Streams: []membus.Stream{{
		Name: "events", Topics: []string{">"}, DuplicateWindow: -1, // copies are the store's to recognise
		MaxBytes: 1 << 30, // a letter is one event
	}}})
	if err != nil {
		return nil, err
	}
	store, err := memdedupe.New(nil)
	if err != nil {
		return nil, err
	}
	return &world{
		scenario: s, point: at, bus: b, store: store,
		released: make(chan struct{}), halted: make(chan struct{}, 1), answered: make(chan struct{}, 1),
		labels: make(map[uint64]string), observations: make(map[uint64][]observation), reached: make(map[step]int),
		runs: make(map[*handlerRun]struct{}), droppedAcks: make(map[uint64]bool),
	}, nil
}

// handleEvents publishes the events, and returns once all of them are settled and nothing has
// happened for a while. Each event is published as its point says.
func (w *world) handleEvents(events []bus.Event) error {
	if err := w.publish(events); err != nil {
		return err
	}
	if err := w.startProcess(); err != nil {
		return err
	}
	var err error
	if w.source, err = w.bus.Subscribe(context.Background(), w.topic, w.group, &bus.SubscribeOptions{AckWait: w.options.AckWait}); err != nil {
		return err
	}
	return w.awaitSettled()
}

func (w *world) publish(events []bus.Event) error {
	switch w.point.fault {
	case republish:
		events = slices.Concat(events, events)
		w.hasFired = true
	case reverse:
		events = reverseKeys(events, orderKeyOf(&w.options))
		w.hasFired = true
	case noFault:
		w.hasFired = true
	default:
	}
	w.published = time.Now()
	receipts, err := w.bus.Publish(context.Background(), events...)
	for i := range receipts {
		w.labels[receipts[i].Sequence] = w.labelOf(w.keyOf(&events[i]))
	}
	return err
}

func (w *world) startProcess() error {
	p := &process{world: w}
	w.processes = append(w.processes, p)
	return p.start(fmt.Sprintf("process %d", len(w.processes)))
}

// thaw lets frozen processes go on. It reports whether there was one.
func (w *world) thaw() (ok bool) {
	for _, p := range w.processes {
		ok = p.thaw() || ok
	}
	return ok
}

func (w *world) beginRun(r *handlerRun) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs[r] = struct{}{}
}

func (w *world) endRun(r *handlerRun) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.runs, r)
	w.signalAnswer()
}

// signalAnswer wakes whoever waits for the end.
func (w *world) signalAnswer() {
	select {
	case w.answered <- struct{}{}:
	default:
	}
}

// noteStep notes that a process is at a step, and returns the fault that happens there. It happens
// to the first process: the others start after it.
func (w *world) noteStep(s step) fault {
	w.ticks.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reached[s]++
	s.n = w.reached[s]
	w.steps = append(w.steps, s)
	if w.hasFired || s != w.point.at {
		return noFault
	}
	w.hasFired = true
	return w.point.fault
}

func (w *world) noteLateCall(s step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lateCall = s
}

// losesAck reports whether the ack of the event of a sequence gets lost: the first one of each, if
// that is the fault.
func (w *world) losesAck(sequence uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.point.fault != redeliver || w.droppedAcks[sequence] {
		return false
	}
	w.droppedAcks[sequence] = true
	w.hasFired = len(w.droppedAcks) == len(w.labels)
	return true
}

func (w *world) noteObservation(o consumer.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.observations[o.At.Sequence] = append(w.observations[o.At.Sequence], observation{o, time.Now()})
}

func (w *world) labelAt(sequence uint64) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.labels[sequence]
}

// readLetters returns the dead letters of the group, in the order of their storing.
func (w *world) readLetters() (letters []*consumer.Letter, err error) {
	for stored, err := range w.bus.Read(context.Background(), w.options.DeadLetter, bus.Range{}) {
		if err != nil {
			return nil, err
		}
		l, err := consumer.ParseLetter(stored.Event)
		if err != nil {
			return nil, err
		}
		letters = append(letters, l)
	}
	return letters, nil
}
