package cursor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// Config configures a Cursor.
type Config struct {
	Bus bus.Bus
	// Watermarks is where the watermark is kept. Default: in the Cursor itself.
	Watermarks   dedupe.Watermarker
	Topic, Group string
	// From is where a new group starts.
	From bus.Start
	// FromStream is the incarnation of the stream for which From also decides where a known group
	// goes on, where nothing proves what of it the group has handled.
	FromStream string
	AckWait    time.Duration
	// Rewind takes the consumer back to its lowest unsettled event each time that the Cursor is
	// opened: this process is the only one that reads it.
	Rewind bool
	Log    *slog.Logger
}

// Watermarked is the part of the protocol that a Cursor uses: watermark.go of protocol.Machine.
type Watermarked interface {
	// SetWatermark replaces the watermark after the cursor was rebuilt.
	SetWatermark(now time.Time, w bus.Position)
	// SetAckWait and SetBusTime set the ack wait that the bus applies, and what time it is there.
	SetAckWait(d time.Duration)
	SetBusTime(now, there time.Time)
	// SetFloor sets the sequence up to which the bus counted everything as settled when
	// it was asked.
	SetFloor(asked time.Time, stream string, floor uint64)
	// SettledUpTo returns the events at or below the bus's floor that were settled here and lie
	// above the watermark, by sequence. A floor that was asked for before the cursor was rebuilt is
	// that of another cursor.
	SettledUpTo(asked time.Time, stream string, floor uint64) []bus.Position
	// WatermarkStored notes that the watermark was stored which follows from a floor.
	WatermarkStored(asked time.Time, w bus.Position)
}

// Step calls a function on the Machine, with the time of its clock.
type Step func(func(m Watermarked, now time.Time))

// Cursor is a group's position in a topic. Its methods are safe for concurrent use.
type Cursor struct {
	o          Config
	watermarks dedupe.Watermarker

	mu           sync.Mutex
	source       bus.Source       // replaced when the consumer was lost
	opened       uint64           // how often the source was replaced
	at           dedupe.Watermark // as it was last read or stored
	info         bus.Info         // as last polled
	lostReported uint64           // of info.Lost, by this source
	rivals       rivalWatermarks
}

// New returns a Cursor that is not open yet.
func New(o Config) *Cursor {
	c := &Cursor{o: o, watermarks: o.Watermarks}
	if c.watermarks == nil {
		c.watermarks = &localWatermarks{}
	}
	return c
}

// Opened is what Open found.
type Opened struct {
	Watermark bus.Position
	// Known reports whether the group was known on the topic before: it has a watermark or a
	// consumer.
	Known bool
}

// Open finds or creates the group's consumer. Its start is stored before it is first created, so
// that one that is lost later is never recreated from where a new group would start. One that is
// deleted meanwhile is made again once.
func (c *Cursor) Open(ctx context.Context) (Opened, error) {
	opened, err := c.openOnce(ctx)
	if errors.Is(err, bus.ErrConsumerLost) {
		return c.openOnce(ctx)
	}
	return opened, err
}

func (c *Cursor) openOnce(ctx context.Context) (Opened, error) {
	p, err := c.resolvePosition(ctx)
	if err != nil {
		return Opened{}, err
	}
	source, err := c.o.Bus.Subscribe(ctx, c.o.Topic, c.o.Group, &bus.SubscribeOptions{
		Resume: p.resume, AckWait: c.o.AckWait, Rewind: c.o.Rewind,
	})
	if err != nil {
		return Opened{}, err
	}
	info, err := source.Info(ctx)
	if err != nil {
		_ = source.Close(ctx) // the first error is the one to tell
		return Opened{}, err
	}
	if err := c.pinStart(ctx, &p, &info); err != nil {
		_ = source.Close(ctx)
		return Opened{}, err
	}
	c.warnOfForgottenGroup(&p, &info)
	c.mu.Lock()
	old := c.source
	c.source, c.at, c.info, c.lostReported = source, p.at, info, 0
	c.opened++
	c.mu.Unlock()
	if old != nil {
		_ = old.Close(ctx) // its consumer is gone
	}
	return Opened{Watermark: bus.Position(p.at.Position), Known: p.known}, nil
}

// pinStart keeps, in place of a time at which a group was told to start, the event after which its
// consumer has started. Were the consumer lost, that time could be another place: stored
// times step back.
func (c *Cursor) pinStart(ctx context.Context, p *groupPosition, info *bus.Info) error {
	finder, ok := c.o.Bus.(bus.Finder)
	if !ok || p.at.Sequence > 0 || p.at.Stored.IsZero() || info.Stream != p.at.Stream {
		return nil
	}
	now := dedupe.Watermark{Position: dedupe.Position{Stream: info.Stream}}
	if info.Floor > 0 && p.first > 0 && p.first <= info.Floor {
		stored, err := finder.Find(ctx, []bus.Position{{Stream: info.Stream, Sequence: info.Floor}})
		if errors.Is(err, errors.ErrUnsupported) || err == nil && stored[0].IsZero() {
			return nil
		}
		if err != nil {
			return err
		}
		now.Sequence, now.Stored = info.Floor, stored[0]
	}
	ok, err := c.watermarks.Replace(ctx, c.o.Group, c.o.Topic, p.at, now)
	if ok && err == nil {
		p.at = now // otherwise another process knows more
	}
	return err
}

// Reopen recreates the consumer, and sets the watermark of the Machine.
func (c *Cursor) Reopen(ctx context.Context, step Step) error {
	opened, err := c.Open(ctx)
	if err != nil {
		return err
	}
	step(func(m Watermarked, now time.Time) { m.SetWatermark(now, opened.Watermark) })
	return nil
}

// Source returns the bus's source, as it was last opened.
func (c *Cursor) Source() bus.Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.source
}

// Poll reads the state of the cursor from the bus.
func (c *Cursor) Poll(ctx context.Context) (bus.Info, error) {
	c.mu.Lock()
	source, opened := c.source, c.opened
	c.mu.Unlock()
	info, err := source.Info(ctx)
	if err == nil {
		c.mu.Lock()
		if c.opened == opened {
			c.info = info
		}
		c.mu.Unlock()
	}
	return info, err
}

// Polled returns the state of the cursor as it was last read.
func (c *Cursor) Polled() bus.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

// NewlyLost returns how many events the bus has dropped since it was last called.
func (c *Cursor) NewlyLost() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.info.Lost <= c.lostReported {
		return 0
	}
	n := c.info.Lost - c.lostReported
	c.lostReported = c.info.Lost
	return n
}

// Advance reads the bus's floor, and stores the watermark that follows from it.
func (c *Cursor) Advance(ctx context.Context, step Step) error {
	var asked time.Time
	step(func(_ Watermarked, now time.Time) { asked = now })
	info, err := c.Poll(ctx)
	if err != nil {
		return err
	}
	return c.StoreWatermark(ctx, asked, info, step)
}

// StoreWatermark stores the watermark that follows from a state of the cursor, read at a time.
func (c *Cursor) StoreWatermark(ctx context.Context, asked time.Time, info bus.Info, step Step) error {
	var settled []bus.Position
	step(func(m Watermarked, now time.Time) {
		m.SetAckWait(info.AckWait)
		m.SetBusTime(now, info.Now)
		m.SetFloor(asked, info.Stream, info.Floor)
		settled = m.SettledUpTo(asked, info.Stream, info.Floor)
	})
	if len(settled) > 0 {
		if err := c.advanceWatermark(ctx, c.nextWatermark(settled)); err != nil {
			return err
		}
		last := settled[len(settled)-1]
		step(func(m Watermarked, _ time.Time) { m.WatermarkStored(asked, last) })
	}
	return c.reviewWatermarks(ctx, info.Stream)
}

// advanceWatermark stores a watermark, unless the stream has another event there: it came back from
// an older copy, and this process has not made the consumer again yet.
func (c *Cursor) advanceWatermark(ctx context.Context, next dedupe.Watermark) error {
	c.mu.Lock()
	opened := c.opened
	c.mu.Unlock()
	switch state, err := c.lookUpWatermark(ctx, next); {
	case err != nil:
		return err
	case state == pointReplaced:
		return fmt.Errorf("the watermark stays where it is until the consumer is made again: the stream %q was restored, and has another event at sequence %d than the group has handled",
			next.Stream, next.Sequence)
	}
	if err := c.watermarks.Advance(ctx, c.o.Group, c.o.Topic, next); err != nil {
		return err
	}
	c.adoptWatermark(opened, next)
	return nil
}

// adoptWatermark takes a watermark for the one that is stored, unless the consumer was made again
// meanwhile.
func (c *Cursor) adoptWatermark(opened uint64, w dedupe.Watermark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened == opened && c.at.Stream == w.Stream && c.at.Sequence < w.Sequence {
		c.at = w
	}
}

// nextWatermark is the watermark once these events are settled.
func (c *Cursor) nextWatermark(settled []bus.Position) dedupe.Watermark {
	c.mu.Lock()
	at := c.at
	c.mu.Unlock()
	last := settled[len(settled)-1]
	next := dedupe.Watermark{Position: dedupe.Position(last)}
	if at.Stream == last.Stream {
		next.Trail = append(next.Trail, at.Trail...)
		next.Trail = append(next.Trail, pointAt(at.Position))
	}
	for _, p := range settled[:len(settled)-1] {
		next.Trail = append(next.Trail, pointAt(dedupe.Position(p)))
	}
	next.Trail = thinTrail(next.Trail, last.Sequence)
	return next
}

// thinTrail keeps, of the points of a trail below a sequence, one for each power of two of its
// distance: the further back, the sparser. So 64 are the most, and the newest point of a copy
// that ends n events earlier is at most about 2n back.
func thinTrail(trail []dedupe.Point, to uint64) []dedupe.Point {
	var out []dedupe.Point
	distance := 0
	for _, p := range trail {
		if p.Sequence == 0 || p.Sequence >= to {
			continue
		}
		if n := bits.Len64(to - p.Sequence); len(out) == 0 || n != distance {
			out, distance = append(out, p), n
		}
	}
	return out
}

// warnOfForgottenGroup warns if the bus knows the group and the store does not: it is another store
// than before, or was emptied.
func (c *Cursor) warnOfForgottenGroup(p *groupPosition, info *bus.Info) {
	if !p.forgotten || info.Floor == 0 {
		return
	}
	c.o.Log.Warn("the bus knows the group on this topic and the store does not: it is another store than before, or was emptied, so events that "+
		"were handled and are delivered or published again will run again; if that is not wanted, stop and configure the store that was used before; "+
		"a consumer that an administrator has just made is no reason to worry",
		"topic", c.o.Topic, "group", c.o.Group, "settled_up_to", info.Floor)
}
