package jetstream

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

const (
	// pullExpires is how long the server holds a pull. It is never cancelled before: what the
	// server sent by then would be stranded until its deadline. The server tells when it ends, so a
	// pull that ends without a word is dead.
	pullExpires = time.Second
	// pullGrace is how much later a pull's end may be heard of.
	pullGrace = time.Second
	// pullPause is how long nothing is asked after the server refused a pull.
	pullPause = 100 * time.Millisecond
)

// pullState is what Fetch knows of its pulls.
type pullState struct {
	pullCredit
	state       *connectionState // of the link when they were sent
	pausedUntil time.Time        // nothing is asked before
	refused     error            // why the server ended a pull, to be returned once
}

// pullLimits are what an administrator allows a pull on this consumer.
type pullLimits struct {
	batch   int
	expires time.Duration
}

func pullLimitsOf(c *jetstream.ConsumerConfig) pullLimits {
	return pullLimits{
		batch:   min(maxRequested, cmp.Or(max(0, c.MaxRequestBatch), maxRequested)),
		expires: min(pullExpires, cmp.Or(max(0, c.MaxRequestExpires), pullExpires)),
	}
}

// requestDeliveries pulls what is missing to the limit, unless at least half of that is on its way
// already, or it is in doubt how much is.
func (s *Source) requestDeliveries(limit int) error {
	p, now := &s.pulling, time.Now()
	if state := s.b.link.current(); p.state != state {
		p.reset() // The server forgets pulls with the connection.
		p.state = state
	}
	if p.dropExpired(now) {
		s.pullUnanswered.Store(true)
		notifyOnce(s.wakeMonitor)
	}
	if err := p.refused; err != nil {
		p.refused = nil
		return err
	}
	limit = min(limit, maxRequested)
	if limit <= 0 || p.requested > limit/2 || p.isDoubtful(now) || now.Before(p.pausedUntil) || !s.isVerified() {
		return nil
	}
	s.lastPulled.Store(now.UnixNano())
	for p.requested < limit {
		if err := s.sendPull(min(limit-p.requested, s.limits.batch), now); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) sendPull(n int, now time.Time) error {
	body := fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, n, s.limits.expires.Nanoseconds())
	reply := s.inbox.Load().replySubject(s.pulling.nextNumber())
	if err := s.b.nc.PublishRequest(s.pullSubject, reply, body); err != nil {
		return fmt.Errorf("jetstream: pull from consumer %q: %w", s.consumer, err)
	}
	s.pulling.addPull(n, now.Add(s.limits.expires+pullGrace))
	return nil
}

// handlePullStatus reads the end of a pull.
func (s *Source) handlePullStatus(m *nats.Msg) {
	number, ok := s.parsePullNumber(m.Subject)
	if !ok {
		return // of an inbox that was replaced
	}
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	if code == "100" {
		return
	}
	left, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		left = maxRequested // unknown: as much as it asked for
	}
	s.pulling.endPull(number, left)
	switch why := strings.ToLower(text); {
	case code == "408" || code == "404":
		if s.inFlight.looksStarved() {
			notifyOnce(s.wakeMonitor)
		}
	case code == "409" && strings.HasPrefix(why, "consumer deleted"):
		s.endWith(fmt.Errorf("%w: consumer %q on stream %q was deleted", bus.ErrConsumerLost, s.consumer, s.stream))
	case code == "409" && (strings.HasPrefix(why, "leadership change") || strings.HasPrefix(why, "server shutdown")):
		s.pulling.pausedUntil = time.Now().Add(pullPause)
	default:
		s.pulling.pausedUntil = time.Now().Add(pullPause)
		s.pulling.refused = s.pullRefusedError(code, text)
		notifyOnce(s.wakeMonitor)
	}
}

func (s *Source) pullRefusedError(code, text string) error {
	if code == "503" {
		return fmt.Errorf("jetstream: nothing answers for consumer %q on stream %q: it is gone, or its server is: %w", s.consumer, s.stream, nats.ErrNoResponders)
	}
	return fmt.Errorf("jetstream: pull from consumer %q on stream %q: %s", s.consumer, s.stream, strings.TrimSpace(code+" "+text))
}
