package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
)

// storeLetters is the loop that stores dead letters.
func (e *engine) storeLetters() {
	var ls []*protocol.Letter
	for e.awaitWork(letterLoop, func(m *protocol.Machine, now time.Time) bool {
		ls = m.Letters(now)
		return len(ls) > 0
	}) {
		errs := e.letters.publishLetters(ls, time.Now())
		e.stepMachine(func(m *protocol.Machine, now time.Time) {
			for i, l := range ls {
				m.LetterPublished(now, l, errs[i])
			}
		})
		for i, l := range ls {
			if errs[i] == nil {
				e.o.Logger.Error("event dead-lettered", "key", l.Key.String(), "topic", e.o.DeadLetter, "reason", l.Reason)
			}
		}
		if err := errors.Join(errs...); err != nil {
			e.o.Logger.Error("dead letters could not be stored; their events will be redelivered for that",
				"topic", e.o.DeadLetter, "error", err)
			e.letters.remeasureRoom(err)
		}
	}
}

// letterPublisher publishes dead letters to their topic. It is not safe for concurrent use.
type letterPublisher struct {
	bus          bus.Bus
	group, topic string
	room         letterRoom
	unreadable   bool      // the bus may not read the topic
	unreadSince  time.Time // since when reading it fails; zero: it does not
	log          *slog.Logger
	callContext  func() (context.Context, context.CancelFunc) // of one call of the bus
}

// letterBatch is letters that are published at once, and what they are on their topic.
type letterBatch struct {
	letters []*protocol.Letter
	heads   []bus.Event   // one for each letter
	parts   [][]bus.Event // of those whose event has no room in the head
	errs    []error       // why each letter is not known to be stored
}

func (p *letterPublisher) newBatch(ls []*protocol.Letter, now time.Time) *letterBatch {
	b := &letterBatch{letters: ls, heads: make([]bus.Event, len(ls)), parts: make([][]bus.Event, len(ls)), errs: make([]error, len(ls))}
	for i, l := range ls {
		b.parts[i], b.heads[i] = newLetter(l, p.group, now).toEvents(p.topic, p.room)
	}
	return b
}

// publishLetters returns why each letter is not known to be stored. The parts of letters that have
// some are stored before them. What is stored already is not published again.
func (p *letterPublisher) publishLetters(ls []*protocol.Letter, now time.Time) []error {
	b := p.newBatch(ls, now)
	stored, err := p.lookUpTried(b, now)
	for i, l := range ls {
		if l.Tried && !stored[b.heads[i].ID] {
			b.errs[i] = err
		}
	}
	p.publishMissing(b, stored, func(i int) []bus.Event { return b.parts[i] })
	p.publishMissing(b, stored, func(i int) []bus.Event { return b.heads[i : i+1] })
	return b.errs
}

// publishMissing publishes what of each letter is not stored, unless the letter has failed already.
func (p *letterPublisher) publishMissing(b *letterBatch, stored map[string]bool, of func(letter int) []bus.Event) {
	var events []bus.Event
	var letterOf []int // indexes of their letters
	for i := range b.letters {
		if b.errs[i] != nil || stored[b.heads[i].ID] {
			continue
		}
		for _, e := range of(i) {
			if !stored[e.ID] {
				events, letterOf = append(events, e), append(letterOf, i)
			}
		}
	}
	if len(events) == 0 {
		return
	}
	for n, r := range p.publishEvents(events) {
		i := letterOf[n]
		b.errs[i] = errors.Join(b.errs[i], r.Err)
	}
}

// remeasureRoom reads again how large a letter may be, where one was too large: the limits of
// stream and server may have changed.
func (p *letterPublisher) remeasureRoom(failure error) {
	if !errors.Is(failure, bus.ErrTooLarge) {
		return
	}
	ctx, cancel := p.callContext()
	defer cancel()
	info, err := p.bus.Topic(ctx, p.topic, p.group, bus.Start{})
	if err != nil {
		p.log.Warn("the limits of the dead-letter topic could not be read", "topic", p.topic, "error", err)
		return
	}
	p.room = newLetterRoom(&info)
}

// publishEvents returns a receipt for each event, also from a bus that returned none.
func (p *letterPublisher) publishEvents(events []bus.Event) []bus.Receipt {
	ctx, cancel := p.callContext()
	defer cancel()
	receipts, err := p.bus.Publish(ctx, events...)
	if len(receipts) == len(events) {
		return receipts
	}
	err = errors.Join(err, fmt.Errorf("the bus answered %d of %d events", len(receipts), len(events)))
	receipts = make([]bus.Receipt, len(events))
	for i := range receipts {
		receipts[i].Err = err
	}
	return receipts
}

// letterRoom is how many bytes the bus takes of one event on the dead-letter topic. Zero is any
// number.
type letterRoom struct{ all, headers int }

func newLetterRoom(info *bus.TopicInfo) letterRoom {
	return letterRoom{all: info.MaxBytes, headers: info.MaxHeaderBytes}
}

func (r letterRoom) hasRoomFor(e *bus.Event) bool {
	headers := headerBytes(e)
	return (r.headers == 0 || headers <= r.headers) && (r.all == 0 || headers+len(e.Data) <= r.all)
}

// headerBytes is an upper bound of what the headers of an event take on any bus, which may
// percent-encode attributes and adds some of its own.
func headerBytes(e *bus.Event) int {
	const names = 1 << 10 // of the attributes, with time, default source and message id
	n := names + 3*(len(e.ID)+len(e.Topic)+len(e.Key)+len(e.Type)+len(e.Source)+len(e.ContentType))
	for name, values := range e.Headers {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

// textLimits is how many bytes the texts of a letter may take when they are encoded.
type textLimits struct{ reason, err, stack int }

// textLimitSteps are tried one after the other until a letter fits.
var textLimitSteps = [...]textLimits{
	{reason: 8 << 10, err: 8 << 10, stack: 16 << 10},
	{reason: 4 << 10, err: 4 << 10, stack: 2 << 10},
	{reason: 1 << 10, err: 1 << 10, stack: 0},
}

// fitInto returns the letter as one event, with as much as there is room for: first the earliest
// attempts are left out, then the texts are cut. ok is false if there is not even room for the
// least.
func (l *Letter) fitInto(topic string, room letterRoom) (e bus.Event, ok bool) {
	short := *l
	for _, s := range textLimitSteps {
		short.Reason, short.Error, short.Stack = cutText(l.Reason, s.reason), cutText(l.Error, s.err), cutText(l.Stack, s.stack)
		e = short.toEvent(topic)
		for len(short.History) > 0 && !room.hasRoomFor(&e) {
			short.History = short.History[1:]
			e = short.toEvent(topic)
		}
		if room.hasRoomFor(&e) {
			return e, true
		}
	}
	return e, false
}

// cutText returns a text that takes no more than room bytes once it is percent-encoded: s, or a
// beginning of it and how long it was.
func cutText(s string, room int) string {
	note := fmt.Sprintf("… (cut, it has %d bytes)", len(s))
	noted := len(url.PathEscape(note))
	taken, kept := 0, 0
	for i := 0; i < len(s); {
		_, size := utf8.DecodeRuneInString(s[i:])
		taken += len(url.PathEscape(s[i : i+size]))
		switch {
		case taken > room && noted > room:
			return ""
		case taken > room:
			return s[:kept] + note
		}
		i += size
		if taken+noted <= room {
			kept = i
		}
	}
	return s
}

// maxAttribute bounds each attribute that a letter has of an event that lies in its parts.
const maxAttribute = 512

// maxScope bounds dedupe.Key.Scope: the name of an algorithm and a hash, in hexadecimal. maxAgain
// bounds bus.Control.Again.
const maxScope, maxAgain = 128, 64

// minLetterRoom is how large an event the bus must take so that every letter of the group fits: its
// own headers, and some data of its parts.
func minLetterRoom(group, topic string) int {
	worst := func(n int) string { return strings.Repeat("\xff", n/3) }
	last := textLimitSteps[len(textLimitSteps)-1]
	attribute := worst(maxAttribute)
	l := Letter{
		Group: group, At: bus.Position{Stream: worst(3 * 300), Sequence: 1 << 63}, Parts: 1 << 30, digest: worst(64),
		Event: bus.Event{Topic: attribute, ID: attribute, Source: attribute, Key: strings.Repeat("k", maxAttribute)},
		key:   &letterKey{id: attribute, scope: strings.Repeat("f", maxScope)}, Again: strings.Repeat("a", maxAgain),
		Original: bus.Position{Stream: worst(3 * 300), Sequence: 1 << 63, Stored: time.Unix(0, 1<<62)},
		Reason:   worst(last.reason), Error: worst(last.err), Stack: worst(last.stack), Attempts: 1 << 30, Crashes: 1 << 30,
	}
	l.ID = protocol.LetterID(group, l.At, 1<<63)
	e := l.toEvent(topic)
	return headerBytes(&e) + 1<<10
}

// minLettersKept is how many letters a stream must be able to keep. One that keeps
// fewer is a cache.
const minLettersKept = 1000

// findLetterTopic returns the dead-letter topic, if dead letters can be kept there.
func findLetterTopic(ctx context.Context, b bus.Bus, topic, group, dead string) (bus.TopicInfo, error) {
	if bus.Match(topic, dead) {
		return bus.TopicInfo{}, fmt.Errorf("%w: the subscription to %q receives %q itself: set Options.DeadLetter (dead_letter, --dead-letter) to a topic outside of it",
			ErrDeadLetterTopic, topic, dead)
	}
	info, err := b.Topic(ctx, dead, group, bus.Start{})
	if err != nil {
		return info, fmt.Errorf("%w: %w", ErrDeadLetterTopic, err)
	}
	err = checkLetterTopic(&info, group, dead)
	return info, err
}

func checkLetterTopic(info *bus.TopicInfo, group, dead string) error {
	if info.ReadOnly {
		return fmt.Errorf("%w: the stream in which %q is found takes nothing that is published to it: make a stream that does, or set Options.DeadLetter (dead_letter, --dead-letter) to another topic",
			ErrDeadLetterTopic, dead)
	}
	if info.WorkQueue || info.Interest {
		return fmt.Errorf("%w: the stream of %q has work-queue or interest retention, which deletes letters as they are read: use one with limits retention",
			ErrDeadLetterTopic, dead)
	}
	for _, limit := range []struct {
		what  string
		value int64
	}{{"events in all", info.Limits.Events}, {"events of a topic", info.Limits.EventsPerTopic}} {
		if limit.value > 0 && limit.value < minLettersKept {
			return fmt.Errorf("%w: the stream of %q keeps %d %s, and deletes letters for newer ones then: raise the limit to %d or more, or have the stream discard new events when it is full",
				ErrDeadLetterTopic, dead, limit.value, limit.what, minLettersKept)
		}
	}
	least := minLetterRoom(group, dead)
	if info.MaxBytes > 0 && info.MaxBytes < least {
		return fmt.Errorf("%w: %q takes events of %d bytes, and a letter of group %.64q may need %d: raise the limit of the stream (max_msg_size), or of the server (max_payload)",
			ErrDeadLetterTopic, dead, info.MaxBytes, group, least)
	}
	if info.MaxHeaderBytes > 0 && info.MaxHeaderBytes < least {
		return fmt.Errorf("%w: the headers of a letter of group %.64q may need %d bytes, and the bus takes %d: choose a shorter name for the group",
			ErrDeadLetterTopic, group, least, info.MaxHeaderBytes)
	}
	return nil
}

// warnOfLetterLimits warns of what makes letters leave before somebody may have read them, or keeps
// them from being stored.
func (o *Options) warnOfLetterLimits(events, letters *bus.TopicInfo) {
	if letters.MaxAge > 0 && (events.MaxAge == 0 || letters.MaxAge < events.MaxAge) {
		o.Logger.Warn("dead letters are deleted sooner than the events themselves: read them in time, or raise max_age of their stream",
			"topic", o.DeadLetter, "letters_kept_for", letters.MaxAge, "events_kept_for", events.MaxAge)
	}
	if letters.RefusesWhenFull {
		o.Logger.Warn("the stream of the dead letters is bounded: when it is full, events that are given up stay unsettled", "topic", o.DeadLetter)
	}
	if l := letters.Limits; l.Events > 0 || l.EventsPerTopic > 0 || l.Bytes > 0 {
		o.Logger.Warn("the stream of the dead letters is bounded: when it is full it deletes the oldest ones",
			"topic", o.DeadLetter, "events", l.Events, "events_per_topic", l.EventsPerTopic, "bytes", l.Bytes)
	}
}
