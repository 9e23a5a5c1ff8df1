package simulation

import (
	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/cursor"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// mutation is a mistake that somebody could make in what lies around a Machine, to show that the
// rules notice. The zero mutation is none.
type mutation struct {
	store     func(dedupe.Claimer) dedupe.Claimer
	publisher func(bus.Publisher) bus.Publisher

	begun    func(*process, *protocol.Job, *run)
	verdict  func(protocol.Verdict) protocol.Verdict
	settling func(*process, []dedupe.Settlement)
	settled  func(*process, []dedupe.Settlement, []error, error) ([]error, error)
	answer   func(protocol.Answer) protocol.Answer
	floor    func(*process, uint64) uint64

	scene      func(*scenario) // the scenario in which the mistake matters; none of it is one
	watermarks func(dedupe.Watermarker) dedupe.Watermarker
	bus        func(*process) bus.Bus
	machine    func(*protocol.Machine) cursor.Watermarked

	config     func(*protocol.Config)
	lookedUp   func(known []dedupe.Record, there []bool)
	neverLooks bool // what became of an event that was nacked and never came back

	lettersNotLookedUp bool // that were published before

	absentIsLost    bool // a claim whose row is gone is taken for another's
	fullRefusesHeld bool // a store at its bound refuses what it has let in
	forgetRefusals  bool // mode seen/mark goes on while its marks are refused

	drainKeepsNothing bool // no watermark is stored when a process has drained
	leaseFromAnswer   bool
	pauseBeforeClaim  bool
	gateIgnored       bool
	catchUpTicks      bool // who was frozen ticks as if it had not been
	ackUnknown        bool // a commit that nobody knows of is taken for made
	effectOutside     bool // of the transaction

	ownsForEver   bool // the end of an ownership is not looked at
	neverRewinds  bool // a new owner goes on where the cursor is
	gapsIgnored   bool // what was delivered after a delivery that is lost is taken in
	freesFirst    bool // an owner frees the partition, and then drains
	answersAsLost bool // who has lost the partition tells the bus all the same
}
