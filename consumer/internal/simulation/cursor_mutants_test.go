package simulation

import (
	"context"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer/internal/cursor"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// placeMutants are mistakes about where a group goes on.
var placeMutants = []mutant{
	{"a lost consumer resumes at its stored time", "I1", resumesAtTime},
	{"a lost consumer resumes at the newest event", "I1", resumesAtLatest},
	{"a lost consumer resumes at the earliest event", "I3", resumesAtEarliest},
	{"a lost consumer resumes after its sequence, whatever lies there", "I1", takesAllForCopy},
	{"a stream of another time of creation is another stream", "I3", knowsByCreation},
	{"a watermark stays although other events have taken its place", "I4", staysPut},
	{"a store without watermarks goes on where the stream before left off", "I1", goesOnFromBefore},
	{"the machine is not told where the cursor was made again", "I4", watermarkNotSet},
	{"a drain stores no watermark", "floor", func() mutation { return mutation{drainKeepsNothing: true} }},
}

// restless is the scenario in which they matter.
func restless(s *scenario) {
	s.makeRestless()
	s.faults[drop], s.faults[rolling], s.unkept = false, false, false
}

// meddled is a bus that makes another cursor than it is asked for, or looks up other events.
type meddled struct {
	*membus.Bus

	process *process
	resume  func(proc *process, o *bus.SubscribeOptions)
	find    func(proc *process, at bus.Position, stored time.Time) time.Time
}

func meddleBus(m meddled) mutation {
	return mutation{scene: restless, bus: func(proc *process) bus.Bus {
		m := m
		m.Bus, m.process = proc.sim.bus, proc
		return &m
	}}
}

func (m *meddled) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	changed := *o
	if m.resume != nil {
		m.resume(m.process, &changed)
	}
	return m.Bus.Subscribe(ctx, topic, group, &changed)
}

func (m *meddled) Find(ctx context.Context, at []bus.Position) ([]time.Time, error) {
	stored, err := m.Bus.Find(ctx, at)
	if m.find != nil {
		for i := range stored {
			stored[i] = m.find(m.process, at[i], stored[i])
		}
	}
	return stored, err
}

func resumesAtTime() mutation {
	return meddleBus(meddled{resume: func(_ *process, o *bus.SubscribeOptions) { o.Resume.Sequence = 0 }})
}

func resumesAtLatest() mutation {
	return meddleBus(meddled{resume: func(_ *process, o *bus.SubscribeOptions) {
		if o.Resume.Sequence > 0 {
			o.Resume, o.From = bus.Position{}, bus.Start{Latest: true}
		}
	}})
}

func resumesAtEarliest() mutation {
	return meddleBus(meddled{resume: func(_ *process, o *bus.SubscribeOptions) { o.Resume = bus.Position{} }})
}

func takesAllForCopy() mutation {
	return meddleBus(meddled{find: func(_ *process, at bus.Position, _ time.Time) time.Time { return at.Stored }})
}

// goesOnFromBefore has a cursor without a store remember when it began, and not in what stream.
func goesOnFromBefore() mutation {
	began := make(map[*process]bus.Position)
	m := meddleBus(meddled{resume: func(proc *process, o *bus.SubscribeOptions) {
		if _, ok := began[proc]; !ok {
			began[proc] = o.Resume
		} else if began[proc].Stream != o.Resume.Stream {
			o.Resume = bus.Position{Stored: began[proc].Stored}
		}
	}})
	m.scene = func(s *scenario) {
		restless(s)
		s.unkept, s.fromTime = true, true
	}
	return m
}

func staysPut() mutation {
	return meddleBus(meddled{find: func(_ *process, at bus.Position, stored time.Time) time.Time {
		if !stored.Equal(at.Stored) {
			return time.Time{}
		}
		return stored
	}})
}

// knowsByCreation has a group start at the first event of every incarnation but the first.
func knowsByCreation() mutation {
	return mutation{scene: restless, watermarks: func(m dedupe.Watermarker) dedupe.Watermarker { return &byCreation{m} }}
}

type byCreation struct{ dedupe.Watermarker }

func (b *byCreation) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (dedupe.Watermark, error) {
	kept, err := b.Watermarks(ctx, group, topic)
	if err == nil && len(kept) > 0 {
		at = dedupe.Watermark{Position: dedupe.Position{Stream: at.Stream}}
	}
	return b.Watermarker.Begin(ctx, group, topic, at)
}

func watermarkNotSet() mutation {
	return mutation{scene: restless, machine: func(m *protocol.Machine) cursor.Watermarked { return &untold{m} }}
}

type untold struct{ *protocol.Machine }

func (*untold) SetWatermark(time.Time, bus.Position) {}
