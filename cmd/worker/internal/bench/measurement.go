package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/console"
)

// Calls of a sink at once. With a rate, an event that is due does not wait for the confirmation of
// those before it.
const (
	sendersAtFullSpeed = 2
	sendersAtRate      = 32
)

// look is how often the state of a measurement is looked at, and askEvery how often the server is
// asked.
const (
	look     = 5 * time.Millisecond
	askEvery = 20 * time.Millisecond
)

// measurement is one cell while it is measured. It is for one goroutine.
type measurement struct {
	rig     *rig
	cell    *cell
	show    *console.Console
	rec     *recorder // of this process
	servers *servers
	plain   *plainSink // nil: the bus is in memory
	team    team       // nil: there are no workers

	loading  chan error // gets the end of what this process does
	loaded   bool
	progress int64     // that was seen last
	moved    time.Time // when it was seen to change
	asked    time.Time // when the server was
}

// measure makes one measurement, and removes what it has made.
func (r *rig) measure(ctx context.Context, c *cell, show *console.Console) (t *tally, err error) {
	m := &measurement{rig: r, cell: c, show: show, rec: newRecorder(c), moved: time.Now()}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.cleanUp(ctx, c)) }()
	if m.servers, err = r.local(ctx, c); err != nil {
		return nil, err
	}
	if r.conns != nil {
		if m.plain, err = newPlainSink(r.conns.NATS(), m.rec, m.confirms(), r.o.patience); err != nil {
			return nil, err
		}
		defer m.plain.close()
	}
	if m.team, err = r.startTeam(ctx, c, m.servers); err != nil {
		return nil, err
	}
	if m.team != nil {
		defer m.team.kill()
	}
	return m.run(ctx)
}

// confirms reports whether what this process has confirmed is what is measured.
func (m *measurement) confirms() bool {
	return m.cell.Stage == StagePublish || m.cell.Stage == StageOutbox && m.cell.isBaseline()
}

// isBacklog reports whether the events are stored before it begins.
func (m *measurement) isBacklog() bool { return m.cell.Rate == 0 && isBacklog(m.cell.Stage) }

func (m *measurement) run(ctx context.Context) (*tally, error) {
	if err := m.fillBacklog(ctx); err != nil {
		return nil, err
	}
	if err := m.beginTeam(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	m.loading = make(chan error, 1)
	go func() { m.loading <- m.load(ctx) }()
	err := m.await(ctx, m.isSettled)
	cancel(err)
	if !m.loaded {
		<-m.loading //nolint:errcheck // it has ended because of err
	}
	if err != nil && !errors.Is(err, ErrStalled) {
		return nil, err
	}
	t, counted := m.countAll(context.WithoutCancel(ctx))
	if counted != nil {
		return nil, errors.Join(err, counted)
	}
	return t, errors.Join(err, m.checkRuns(t))
}

// fillBacklog stores the events first, where that is not what is measured.
func (m *measurement) fillBacklog(ctx context.Context) error {
	if !m.isBacklog() {
		return nil
	}
	to := m.sink()
	if m.cell.Stage == StageOutbox && m.cell.isBaseline() {
		rows := m.rig.rows(m.cell)
		if rows == nil {
			return nil
		}
		if err := indexRows(ctx, rows); err != nil {
			return err
		}
		to = &insertSink{rows: rows, recorder: m.rec}
	}
	l := &load{events: m.cell.total(), senders: sendersAtFullSpeed}
	return l.run(ctx, to)
}

// load is what this process does while it is measured.
func (m *measurement) load(ctx context.Context) error {
	switch {
	case !m.isBacklog():
		l := &load{events: m.cell.total(), rate: m.cell.Rate, senders: m.senders(), late: m.noteSent}
		return l.run(ctx, m.sink())
	case m.cell.Stage == StageOutbox && m.cell.isBaseline():
		m.rec.beginAt(0, time.Now().UnixNano())
		if rows := m.rig.rows(m.cell); rows != nil {
			return m.drainRows(ctx, rows)
		}
		l := &load{events: m.cell.total(), senders: 1}
		return l.run(ctx, m.plain)
	}
	return nil
}

func (m *measurement) noteSent(s eventStamp, now time.Time) {
	m.rec.recordStep(dueToSent, s.index, s.since(now))
}

// senders are the calls of the sink at once: those of nats.go's asynchronous publishes return at
// once.
func (m *measurement) senders() int {
	switch {
	case m.cell.Rate > 0 && m.cell.Stage == StageOutbox:
		return sendersAtRate
	case m.cell.isBaseline():
		return 1
	case m.cell.Rate > 0:
		return sendersAtRate
	}
	return sendersAtFullSpeed
}

// sink is where the events of the load go.
func (m *measurement) sink() sink {
	switch {
	case m.cell.Stage == StageOutbox && m.cell.isBaseline():
		if rows := m.rig.rows(m.cell); rows != nil {
			return &insertSink{rows: rows, recorder: m.rec, next: m.plain}
		}
		return m.plain
	case m.cell.Stage == StageOutbox:
		return &outboxSink{add: m.adder(), recorder: m.rec}
	case m.cell.isBaseline() && !m.isBacklog():
		return m.plain
	}
	b := &busSink{bus: m.servers.bus, recorder: m.rec, confirms: m.confirms()}
	if m.cell.Stage != StagePublish && m.plain != nil {
		b.copies = m.plain
	}
	return b
}

// adder adds to the outbox.
func (m *measurement) adder() func(context.Context, ...bus.Event) ([]string, error) {
	switch q := m.servers.queue.(type) {
	case interface {
		AddAlone(ctx context.Context, events ...bus.Event) ([]string, error)
	}:
		return q.AddAlone
	case interface {
		Add(ctx context.Context, events ...bus.Event) ([]string, error)
	}:
		return q.Add
	}
	return func(context.Context, ...bus.Event) ([]string, error) {
		return nil, errors.New("the outbox takes no events")
	}
}

// beginTeam has the workers begin at the same time, and waits until they have subscribed.
func (m *measurement) beginTeam(ctx context.Context) error {
	if m.team == nil {
		return nil
	}
	m.loaded = true // there is no load yet
	n := m.rig.o.Processes
	if err := m.await(ctx, func(_ context.Context, s teamState) bool { return s.ready == n }); err != nil {
		return err
	}
	if err := m.team.begin(); err != nil {
		return err
	}
	err := m.await(ctx, func(_ context.Context, s teamState) bool { return s.consuming == n })
	m.loaded = false
	return err
}

// await looks at everything until it is as it is to be.
func (m *measurement) await(ctx context.Context, reached func(context.Context, teamState) bool) error {
	again := time.NewTicker(look)
	defer again.Stop()
	m.moved = time.Now()
	for {
		select {
		case <-again.C:
		case err := <-m.loading:
			m.loaded = true
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s, err := m.lookAt()
		switch {
		case err != nil:
			return err
		case reached(ctx, s):
			return nil
		case time.Since(m.moved) > m.rig.o.patience && (m.loaded || m.cell.Rate == 0):
			return fmt.Errorf("%w: nothing has happened for %v; %d of %d events are completed, %d deliveries are answered",
				ErrStalled, m.rig.o.patience, s.done, m.cell.total(), s.answers)
		}
	}
}

// lookAt is how far all are, or who has failed.
func (m *measurement) lookAt() (s teamState, err error) {
	err = errors.Join(m.rec.failure(), m.rig.checkServers())
	if m.team != nil {
		s = m.team.state()
		err = errors.Join(err, m.team.checkAlive())
	}
	s.done += m.rec.done.Load()
	if now := int64(s.ready+s.consuming) + s.done + s.answers; now != m.progress {
		m.progress, m.moved = now, time.Now()
	}
	m.show.ShowProgress(int(s.done))
	return s, err
}

// isSettled reports whether everything was completed and answered.
func (m *measurement) isSettled(ctx context.Context, s teamState) bool {
	total := int64(m.cell.total())
	if !m.loaded || s.done < total {
		return false
	}
	switch {
	case m.team == nil:
		return true
	case m.cell.Stage == StageOutbox:
		return s.answers >= total
	case m.rig.js == nil:
		return s.answers >= total+int64(m.copies())
	}
	return m.consumerIsEmpty(ctx, int(total)+m.copies())
}

func (m *measurement) copies() (n int) {
	for i := range m.cell.total() {
		if m.cell.isCopied(i) {
			n++
		}
	}
	return n
}

// consumerIsEmpty reports whether so many messages are settled, and no more is there. What cannot
// be asked is not. The server counts what is published as pending a little later than it confirms
// it.
func (m *measurement) consumerIsEmpty(ctx context.Context, stored int) bool {
	if time.Since(m.asked) < askEvery {
		return false
	}
	m.asked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	c, err := m.rig.js.Consumer(ctx, m.cell.Name, m.cell.consumerName())
	if err != nil {
		return false
	}
	info := c.CachedInfo()
	return info.Delivered.Consumer >= uint64(stored) && info.NumPending == 0 && info.NumAckPending == 0
}

// countAll drains the workers, and adds up what all have counted.
func (m *measurement) countAll(ctx context.Context) (*tally, error) {
	all := newTally(m.cell)
	own, err := m.rec.result()
	if err != nil {
		return nil, err
	}
	counted := []*tally{&own}
	if m.team != nil {
		theirs, err := m.team.stop(ctx)
		if err != nil {
			return nil, err
		}
		counted = append(counted, theirs...)
	}
	for _, t := range counted {
		if err := all.merge(t); err != nil {
			return nil, err
		}
	}
	return all, nil
}
