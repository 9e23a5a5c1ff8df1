package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/onceish/onceish/bus"
)

var (
	ackPayload    = []byte("+ACK")
	nakBody       = []byte("-NAK")
	extendPayload = []byte("+WPI")
)

// errAgain is returned where what was not sent could be sent by now.
var errAgain = errors.New("the connection has only just come back")

// maxReason bounds the reason of a term in bytes: it goes into an advisory of the server.
const maxReason = 1024

// deliveryAnswerer answers one delivery.
type deliveryAnswerer struct {
	s          *Source
	reply      string
	sequence   uint64
	mustNotAck bool // an ack would delete what the server still needs
}

// Answer implements bus.Answerer.
func (t *deliveryAnswerer) Answer(_ context.Context, how bus.Answer) error {
	s := t.s
	if err := s.endError(); err != nil {
		return err
	}
	if t.mustNotAck && !how.Nak {
		how = bus.Answer{Nak: true, After: scheduleRedelivery}
	}
	body := ackPayload
	switch {
	case how.Nak && !s.isVerified():
		return s.uncertainError("nak")
	case how.Nak:
		body = nak(how)
	case how.Reason != "":
		body = termBody(how.Reason)
	}
	if err := s.sendAnswer(ackMessage{t.reply, body}); err != nil {
		return err
	}
	if s.inFlight.recordAnswer(t.sequence, how) {
		notifyOnce(s.wakeMonitor)
	}
	return nil
}

// sendAnswer publishes an answer, or keeps it while the consumer is not known to be ours.
func (s *Source) sendAnswer(x ackMessage) error {
	if s.isVerified() {
		return s.b.nc.Publish(x.reply, x.body)
	}
	if !s.waiting.add(x, s.spec.ackPending.least) {
		return fmt.Errorf("jetstream: answer not sent, %d are waiting for the connection already: %w", s.spec.ackPending.least, cmp.Or(s.Healthy(), errAgain))
	}
	if s.isVerified() {
		s.sendWaiting() // It became so in between.
	}
	return nil
}

// Extend implements bus.Answerer.
func (t *deliveryAnswerer) Extend(context.Context) error {
	s := t.s
	if err := s.endError(); err != nil {
		return err
	}
	if !s.isVerified() {
		return s.uncertainError("extension")
	}
	if err := s.b.nc.Publish(t.reply, extendPayload); err != nil {
		return err
	}
	s.inFlight.extendDue(t.sequence)
	return nil
}

// uncertainError is why an answer is not sent that would harm somebody else if it came late.
func (s *Source) uncertainError(what string) error {
	return fmt.Errorf("jetstream: %s not sent, the delivery may be somebody else's by the time it arrives: %w",
		what, cmp.Or(s.Healthy(), errAgain))
}

func nak(how bus.Answer) []byte {
	if how.After <= 0 {
		return nakBody
	}
	return fmt.Appendf(nil, `-NAK {"delay": %d}`, how.After.Nanoseconds())
}

func termBody(reason string) []byte {
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

// ackMessage is what is published to settle a delivery.
type ackMessage struct {
	reply string
	body  []byte
}

// waitingAnswers are the answers that wait until the consumer is known to be the one they are for.
type waitingAnswers struct {
	mu   sync.Mutex
	list []ackMessage
}

func (h *waitingAnswers) add(x ackMessage, most int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.list) >= most {
		return false
	}
	h.list = append(h.list, x)
	return true
}

func (h *waitingAnswers) takeAll() []ackMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.list
	h.list = nil
	return list
}

// sendWaiting sends the answers that wait.
func (s *Source) sendWaiting() {
	list := s.waiting.takeAll()
	for i, x := range list {
		if err := s.b.nc.Publish(x.reply, x.body); err != nil {
			s.b.log.Warn("answers were not sent; their events will be redelivered",
				"consumer", s.consumer, "answers", len(list)-i, "error", err)
			return
		}
	}
}
