package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/onceish/onceish/bus"
)

var (
	ackBody    = []byte("+ACK")
	nakBody    = []byte("-NAK")
	extendBody = []byte("+WPI")
)

// errAgain is returned where what was not sent could be sent by now.
var errAgain = errors.New("the connection has only just come back")

// maxReason bounds the reason of a term in bytes: it goes into an advisory of the server.
const maxReason = 1024

// settler settles one delivery.
type settler struct {
	s        *Source
	reply    string
	sequence uint64
	keeps    bool // an ack would delete what the server still needs
}

// Settle implements bus.Settler.
func (t *settler) Settle(_ context.Context, how bus.Settlement) error {
	s := t.s
	if err := s.ended(); err != nil {
		return err
	}
	if t.keeps && !how.Nak {
		how = bus.Settlement{Nak: true, After: scheduleAgain}
	}
	body := ackBody
	switch {
	case how.Nak && !s.current():
		return s.uncertain("nak")
	case how.Nak:
		body = nak(how)
	case how.Reason != "":
		body = term(how.Reason)
	}
	if err := s.send(settlement{t.reply, body}); err != nil {
		return err
	}
	if s.flight.settle(t.sequence, how) {
		wake(s.alarm)
	}
	return nil
}

// send publishes a settlement, or holds it while the consumer is not known to be ours.
func (s *Source) send(x settlement) error {
	if !s.current() {
		return s.hold(x)
	}
	return s.b.nc.Publish(x.reply, x.body)
}

// Extend implements bus.Settler.
func (t *settler) Extend(context.Context) error {
	s := t.s
	if err := s.ended(); err != nil {
		return err
	}
	if !s.current() {
		return s.uncertain("extension")
	}
	if err := s.b.nc.Publish(t.reply, extendBody); err != nil {
		return err
	}
	s.flight.extend(t.sequence)
	return nil
}

// uncertain is why a settlement is not sent that would harm somebody else if it came late.
func (s *Source) uncertain(what string) error {
	return fmt.Errorf("jetstream: %s not sent, the delivery may be somebody else's by the time it arrives: %w",
		what, or(s.Healthy(), errAgain))
}

func nak(how bus.Settlement) []byte {
	if how.After <= 0 {
		return nakBody
	}
	body := append(make([]byte, 0, 40), `-NAK {"delay": `...)
	return append(strconv.AppendInt(body, int64(how.After), 10), '}')
}

func term(reason string) []byte {
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	return []byte("+TERM " + strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, reason))
}

// settlement is what is published to settle a delivery.
type settlement struct {
	reply string
	body  []byte
}

// held are the settlements that wait until the consumer is known to be the one they are for.
type held struct {
	mu   sync.Mutex
	list []settlement
}

func (h *held) add(x settlement, most int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.list) >= most {
		return false
	}
	h.list = append(h.list, x)
	return true
}

func (h *held) take() []settlement {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.list
	h.list = nil
	return list
}

func (h *held) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.list)
}

func (s *Source) hold(x settlement) error {
	if !s.held.add(x, s.want.ackPending.least) {
		return fmt.Errorf("jetstream: settlement not sent, %d are waiting for the connection already: %w", s.want.ackPending.least, or(s.Healthy(), errAgain))
	}
	if s.current() {
		s.release() // It became so in between.
	}
	return nil
}

// release sends what is held.
func (s *Source) release() {
	list := s.held.take()
	for i, x := range list {
		if err := s.b.nc.Publish(x.reply, x.body); err != nil {
			s.b.log.Warn("settlements were not sent, their events will be delivered again",
				"consumer", s.consumer, "settlements", len(list)-i, "error", err)
			return
		}
	}
}
