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

// newCursor makes a life's cursor: the consumer's own, on a bus and a store that a mutation may
// stand in front of. What the store is asked may go wrong as all else.
func (l *process) newCursor(fromStream string) *cursor.Cursor {
	w := l.sim
	o := cursor.Config{
		Bus: w.bus, Topic: pattern, Group: group, FromStream: fromStream, AckWait: w.sc.protocol.AckWait,
		Log: slog.New(slog.DiscardHandler),
	}
	if w.sc.fromTime && fromStream == "" {
		o.From.Time = w.busClock.now().Add(-w.elapsed)
	}
	if !w.sc.unkept {
		o.Watermarks = &watermarks{l: l, Watermarker: w.store}
		if w.mut.watermarks != nil {
			o.Watermarks = w.mut.watermarks(o.Watermarks)
		}
	}
	if w.mut.bus != nil {
		o.Bus = w.mut.bus(l)
	}
	return cursor.New(o)
}

// openCursor makes or finds the group's cursor at the start of a life. Where the consumer
// refuses, for nothing proves what of the stream the group has handled, somebody has it
// start at the first event.
func (l *process) openCursor() bus.Position {
	ctx := context.Background()
	l.cursor = l.newCursor("")
	opened, err := l.cursor.Open(ctx)
	if errors.Is(err, cursor.ErrStreamReplaced) {
		info, failed := l.sim.bus.Topic(ctx, pattern, group, bus.Start{})
		l.sim.must(failed)
		l.sim.note("refused", l.id, info.Start.Stream, int64(info.Last.Sequence))
		l.cursor = l.newCursor(info.Start.Stream)
		opened, err = l.cursor.Open(ctx)
	}
	if err != nil { // the process ends, and is started again
		l.sim.note("not opened", l.id, "", 0)
		l.over = true
		l.sim.after(nil, 5*time.Second, func() { l.sim.startProcess(l.worker) })
		return bus.Position{}
	}
	l.opened()
	return opened.Watermark
}

func (l *process) opened() {
	l.src, _ = l.cursor.Source().(*membus.Source)
	l.cursorLost = false
	l.acked = nil
}

// step brings something of the cursor to the Machine.
func (l *process) step(f func(cursor.Machine, time.Time)) {
	if l.sim.mut.machine != nil {
		f(l.sim.mut.machine(l.m), l.now())
		return
	}
	f(l.m, l.now())
}

// rebuild makes the group's cursor again, from its watermark. What goes wrong is tried again with
// the next fetch.
func (l *process) rebuild() {
	l.sim.note("rebuild", l.id, "", 0)
	l.collect()
	err := l.cursor.Reopen(context.Background(), l.step)
	switch {
	case errors.Is(err, cursor.ErrStreamReplaced):
		l.endProcess("refused")
		return
	case err != nil:
		l.cursorLost = true
		return
	}
	for i := range l.outbox {
		l.outbox[i].Kind = protocol.None // as the Machine does with what it still has
	}
	l.opened()
	l.rebuilt = l.sim.elapsed
}

// advanceLater moves the watermark now and then.
func (l *process) advanceLater() {
	l.advance()
	l.sim.after(l, l.sim.between(500*time.Millisecond, 15*time.Second), l.advanceLater)
}

// advance takes the bus's floor, and a little later has the store keep what the
// Machine makes of it.
func (l *process) advance() {
	w, asked := l.sim, l.now()
	info, err := l.poll()
	if err != nil {
		return
	}
	w.after(l, w.between(0, 100*time.Millisecond), func() {
		_ = l.cursor.StoreWatermark(context.Background(), asked, info, l.step) // the next one will do
	})
}

func (l *process) poll() (bus.Info, error) {
	info, err := l.cursor.Poll(context.Background())
	if mut := l.sim.mut.floor; err == nil && mut != nil {
		info.Floor = mut(l, info.Floor)
	}
	return info, err
}

// advanceNow does so at the end of a drain.
func (l *process) advanceNow() {
	info, err := l.poll()
	if err != nil || l.sim.mut.drainKeepsNothing {
		return
	}
	_ = l.cursor.StoreWatermark(context.Background(), l.now(), info, l.step)
}

// checkFloor wants what a process has settled, up to the bus's floor, kept when it has drained.
func (l *process) checkFloor() {
	w := l.sim
	info, err := l.src.Info(context.Background())
	if err != nil || l.cursorLost || w.sc.unkept || w.sc.callTrouble > 0 || w.faults.storeDown > w.elapsed || l.cutOff > w.elapsed {
		return
	}
	kept := w.kept(info.Stream)
	for _, at := range l.acked {
		if at.Stream == info.Stream && at.Sequence <= info.Floor && at.Sequence > kept.Sequence {
			w.violate("floor", "%s drained, had settled sequence %d, and the watermark is %d of a floor of %d", l.id, at.Sequence, kept.Sequence, info.Floor)
			return
		}
	}
}

// kept is the watermark in an incarnation of the stream.
func (w *simulation) kept(stream string) dedupe.Watermark {
	all, err := w.store.Watermarks(context.Background(), group, pattern)
	w.must(err)
	if i := slices.IndexFunc(all, func(m dedupe.Watermark) bool { return m.Stream == stream }); i >= 0 {
		return all[i]
	}
	return dedupe.Watermark{}
}

// watermarks are the store's, as a process reaches them: a call fails, before or after
// it took effect.
type watermarks struct {
	dedupe.Watermarker

	l *process
}

// reach decides about one call: whether the store hears of it, and whether its answer arrives.
func (m *watermarks) reach() (heard bool, err error) {
	l, w := m.l, m.l.sim
	switch {
	case l.m == nil: // at the start of a life a process would try again
	case l.cutOff > w.elapsed:
		return false, errLost
	case w.faults.storeDown > w.elapsed:
		return w.chance(w.faults.storeHears), errLost
	case w.faults.on && w.chance(w.sc.callTrouble):
		return w.chance(0.5), errLost
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
	m.l.sim.note("advance", m.l.id, at.Stream, int64(at.Sequence))
	heard, lost := m.reach()
	if heard {
		err = m.Watermarker.Advance(ctx, group, topic, at)
	}
	return errors.Join(err, lost)
}

func (m *watermarks) Replace(ctx context.Context, group, topic string, was, now dedupe.Watermark) (ok bool, err error) {
	m.l.sim.note("watermark back", m.l.id, was.Stream, int64(now.Sequence))
	heard, lost := m.reach()
	if heard {
		ok, err = m.Watermarker.Replace(ctx, group, topic, was, now)
	}
	return ok, errors.Join(err, lost)
}
