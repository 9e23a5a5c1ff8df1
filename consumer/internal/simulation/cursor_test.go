package simulation

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer/internal/cursor"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// newCursor returns a process's cursor: the consumer's own, on a bus and a store that a mutation
// may wrap. Calls of the store may fail as all others do.
func (proc *process) newCursor(fromStream string) *cursor.Cursor {
	sim := proc.sim
	o := cursor.Config{
		Bus: sim.bus, Topic: pattern, Group: group, FromStream: fromStream, AckWait: sim.sc.protocol.AckWait,
		Log: slog.New(slog.DiscardHandler),
	}
	if sim.sc.fromTime && fromStream == "" {
		o.From.Time = sim.busClock.now().Add(-sim.elapsed)
	}
	if !sim.sc.unkept {
		o.Watermarks = &watermarks{proc: proc, Watermarker: sim.store}
		if sim.mut.watermarks != nil {
			o.Watermarks = sim.mut.watermarks(o.Watermarks)
		}
	}
	if sim.mut.bus != nil {
		o.Bus = sim.mut.bus(proc)
	}
	return cursor.New(o)
}

// openCursor finds or creates the group's cursor at the start of a process. Where the consumer
// refuses, because nothing proves what of the stream the group has handled, an operator starts it
// at the first event.
func (proc *process) openCursor() bus.Position {
	ctx := context.Background()
	proc.cursor = proc.newCursor("")
	opened, err := proc.cursor.Open(ctx)
	if errors.Is(err, cursor.ErrStreamReplaced) {
		info, failed := proc.sim.bus.Topic(ctx, pattern, group, bus.Start{})
		proc.sim.must(failed)
		proc.sim.note("refused", proc.id, info.Start.Stream, int64(info.Last.Sequence))
		proc.cursor, proc.fromFirst = proc.newCursor(info.Start.Stream), true
		opened, err = proc.cursor.Open(ctx)
	}
	if err != nil { // the process ends, and is started again
		proc.sim.note("not opened", proc.id, "", 0)
		proc.over = true
		proc.sim.after(nil, 5*time.Second, func() { proc.sim.startProcess(proc.worker) })
		return bus.Position{}
	}
	proc.opened()
	return opened.Watermark
}

func (proc *process) opened() {
	proc.source, _ = proc.cursor.Source().(*membus.Source)
	proc.cursorLost = false
	proc.acked = nil
}

// step calls f on the Machine.
func (proc *process) step(f func(cursor.Watermarked, time.Time)) {
	if proc.sim.mut.machine != nil {
		f(proc.sim.mut.machine(proc.machine), proc.now())
		return
	}
	f(proc.machine, proc.now())
}

// rebuild recreates the group's cursor from its watermark. What fails is retried with the next
// fetch.
func (proc *process) rebuild() {
	proc.sim.note("rebuild", proc.id, "", 0)
	proc.collectAnswers()
	err := proc.cursor.Reopen(context.Background(), proc.step)
	switch {
	case errors.Is(err, cursor.ErrStreamReplaced):
		proc.endProcess("refused")
		return
	case err != nil:
		proc.cursorLost = true
		return
	}
	for i := range proc.outbox {
		proc.outbox[i].Kind = protocol.None // as the Machine does with what it still has
	}
	proc.opened()
	proc.rebuilt = proc.sim.elapsed
}

// advanceLater moves the watermark now and then.
func (proc *process) advanceLater() {
	proc.advance()
	proc.sim.after(proc, proc.sim.between(500*time.Millisecond, 15*time.Second), proc.advanceLater)
}

// advance reads the bus's floor, and a little later stores the watermark that follows from it.
func (proc *process) advance() {
	sim, asked := proc.sim, proc.now()
	info, err := proc.poll()
	if err != nil {
		return
	}
	sim.after(proc, sim.between(0, 100*time.Millisecond), func() {
		_ = proc.cursor.StoreWatermark(context.Background(), asked, info, proc.step) // the next one will do
	})
}

func (proc *process) poll() (bus.Info, error) {
	info, err := proc.cursor.Poll(context.Background())
	if mut := proc.sim.mut.floor; err == nil && mut != nil {
		info.Floor = mut(proc, info.Floor)
	}
	return info, err
}

// advanceNow does so at once, at the end of a drain.
func (proc *process) advanceNow() {
	info, err := proc.poll()
	if err != nil || proc.sim.mut.drainKeepsNothing {
		return
	}
	_ = proc.cursor.StoreWatermark(context.Background(), proc.now(), info, proc.step)
}

// checkFloor checks that a process which has drained has stored the watermark of what it settled,
// up to the bus's floor.
func (proc *process) checkFloor() {
	sim := proc.sim
	info, err := proc.source.Info(context.Background())
	if err != nil || proc.cursorLost || sim.sc.unkept || sim.sc.callTrouble > 0 || sim.faults.storeDown > sim.elapsed || proc.cutOffUntil > sim.elapsed {
		return
	}
	kept := sim.kept(info.Stream)
	for _, at := range proc.acked {
		if at.Stream == info.Stream && at.Sequence <= info.Floor && at.Sequence > kept.Sequence {
			sim.violate("floor", "%s drained, had settled sequence %d, and the watermark is %d of a floor of %d", proc.id, at.Sequence, kept.Sequence, info.Floor)
			return
		}
	}
}

// kept is the watermark in an incarnation of the stream.
func (sim *simulation) kept(stream string) dedupe.Watermark {
	all, err := sim.store.Watermarks(context.Background(), group, pattern)
	sim.must(err)
	if i := slices.IndexFunc(all, func(m dedupe.Watermark) bool { return m.Stream == stream }); i >= 0 {
		return all[i]
	}
	return dedupe.Watermark{}
}

// watermarks are the store's, as a process reaches them: a call fails, before or after
// it took effect.
type watermarks struct {
	dedupe.Watermarker

	proc *process
}

// reach decides about one call: whether it reaches the store, and whether its answer arrives.
func (m *watermarks) reach() (heard bool, err error) {
	proc, sim := m.proc, m.proc.sim
	switch {
	case proc.machine == nil: // at the start of a process a process would try again
	case proc.cutOffUntil > sim.elapsed:
		return false, errLost
	case sim.faults.storeDown > sim.elapsed:
		return sim.chance(sim.faults.storeHears), errLost
	case sim.faults.on && sim.chance(sim.sc.callTrouble):
		return sim.chance(0.5), errLost
	}
	return true, nil
}

func (m *watermarks) Watermarks(ctx context.Context, group, topic string) ([]dedupe.Watermark, error) {
	if _, err := m.reach(); err != nil {
		return nil, err
	}
	return m.Watermarker.Watermarks(ctx, group, topic)
}

func (m *watermarks) Begin(ctx context.Context, group, topic string, at dedupe.Watermark) (kept dedupe.Watermark, err error) {
	heard, lost := m.reach()
	if heard {
		kept, err = m.Watermarker.Begin(ctx, group, topic, at)
	}
	return kept, errors.Join(err, lost)
}

func (m *watermarks) Advance(ctx context.Context, group, topic string, at dedupe.Watermark) (err error) {
	m.proc.sim.note("advance", m.proc.id, at.Stream, int64(at.Sequence))
	heard, lost := m.reach()
	if heard {
		err = m.Watermarker.Advance(ctx, group, topic, at)
	}
	return errors.Join(err, lost)
}

func (m *watermarks) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (ok bool, err error) {
	m.proc.sim.note("watermark back", m.proc.id, was.Stream, int64(now.Sequence))
	heard, lost := m.reach()
	if heard {
		ok, err = m.Watermarker.Replace(ctx, group, topic, was, now)
	}
	return ok, errors.Join(err, lost)
}
