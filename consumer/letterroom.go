package consumer

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
)

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

// fitInto returns the letter as one event, with as much of the texts as there is room for. ok is
// false if there is not even room for the least.
func (l *Letter) fitInto(topic string, room letterRoom) (e bus.Event, ok bool) {
	for _, s := range textLimitSteps {
		short := *l
		short.Reason, short.Error, short.Stack = cutText(l.Reason, s.reason), cutText(l.Error, s.err), cutText(l.Stack, s.stack)
		if e = short.toEvent(topic); room.hasRoomFor(&e) {
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

// minLetterRoom is how large an event the bus must take so that every letter of the group fits: its
// own headers, and some data of its parts.
func minLetterRoom(group, topic string) int {
	worst := func(n int) string { return strings.Repeat("\xff", n/3) }
	last := textLimitSteps[len(textLimitSteps)-1]
	attribute := worst(maxAttribute)
	l := Letter{
		Group: group, At: bus.Position{Stream: worst(3 * 300), Sequence: 1 << 63}, Parts: 1 << 30, digest: worst(64),
		Event:  bus.Event{Topic: attribute, ID: attribute, Source: attribute, Key: strings.Repeat("k", maxAttribute)},
		Reason: worst(last.reason), Error: worst(last.err), Stack: worst(last.stack), Attempts: 1 << 30, Crashes: 1 << 30,
	}
	l.ID = protocol.LetterID(group, l.At)
	e := l.toEvent(topic)
	return headerBytes(&e) + 1<<10
}
