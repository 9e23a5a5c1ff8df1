package outbox

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
)

// recordReceipts takes in what the bus answered to a batch, and returns what is to be logged.
// random returns a number from 0 to below 1.
func (s *scheduler) recordReceipts(batch []*trackedRow, receipts []bus.Receipt, err error, now time.Time, random func() float64) (logs []logEntry) {
	if len(receipts) != len(batch) {
		receipts = make([]bus.Receipt, len(batch))
		for i := range receipts {
			receipts[i].Err = errors.Join(errNoReceipts, err)
		}
	}
	answered := slices.ContainsFunc(receipts, func(r bus.Receipt) bool { return classifyReceipt(r.Err) != receiptUnknown })
	if answered {
		logs = s.endOutage(now)
	} else {
		logs = s.recordOutage(batch, receipts[0].Err, now)
	}
	for i, it := range batch {
		if it.state != rowInFlight { // its partition was lost
			continue
		}
		r := receipts[i]
		switch v := classifyReceipt(r.Err); {
		case v == receiptStored:
			s.confirmRow(it, r)
		case v == receiptHopeless:
			logs = append(logs, s.giveUpRow(it, r.Err, false))
		case v == receiptRefused && it.row.Attempts+1 >= s.o.MaxAttempts:
			logs = append(logs, s.giveUpRow(it, r.Err, true))
		case v == receiptRefused:
			logs = append(logs, s.refuseRow(it, r.Err, random()))
		case v == receiptNoStream || answered: // the bus is there: it is about the topic
			logs = append(logs, s.holdTopic(it, r.Err, now)...)
		default:
			s.retryUnanswered(it)
		}
	}
	return logs
}

var errNoReceipts = errors.New("the bus gave no receipts")

type logEntry struct {
	text     string
	row      *trackedRow // nil: it is about none
	duration time.Duration
	err      error
	isError  bool
}

func (s *scheduler) confirmRow(it *trackedRow, r bus.Receipt) {
	if r.Duplicate {
		s.stats.Duplicates++
	}
	delete(s.topicHolds, it.row.Event.Topic)
	s.queueResult(it, Result{Outcome: Confirmed})
	if q := it.queue; q != nil {
		q.head = nil
		s.advanceQueue(q)
	}
}

func (s *scheduler) giveUpRow(it *trackedRow, err error, attempt bool) logEntry {
	s.queueResult(it, Result{Outcome: GivenUp, Attempt: attempt, Reason: err.Error()})
	if q := it.queue; q != nil {
		q.head = nil
		if s.o.AfterDead == GoOn {
			s.advanceQueue(q)
		} else {
			s.blockQueue(q, it)
		}
	}
	return logEntry{text: "given up: the row is dead until it is retried or dropped", row: it, err: err, isError: true}
}

func (s *scheduler) refuseRow(it *trackedRow, err error, random float64) logEntry {
	after := s.o.Backoff.jitteredDelay(it.row.Attempts+1, random)
	s.queueResult(it, Result{Outcome: Refused, After: after, Reason: err.Error()})
	if q := it.queue; q != nil {
		q.head = nil
		s.blockQueue(q, it)
	}
	return logEntry{text: "the bus refused an event: trying again", row: it, duration: after, err: err}
}

// blockQueue keeps a key's queue empty until its former head is marked.
func (s *scheduler) blockQueue(q *keyQueue, it *trackedRow) {
	s.emptyQueue(q)
	q.failedHead = it
}

func (s *scheduler) holdTopic(it *trackedRow, err error, now time.Time) (logs []logEntry) {
	topic := it.row.Event.Topic
	if s.topicHolds[topic] == nil {
		logs = append(logs, logEntry{text: "events of a topic cannot be stored: it waits", row: it, err: err})
	}
	h := s.topicHolds.holdTopic(topic, err, now)
	h.lastScan = s.scanner.number
	s.scanNoLater(h.until)
	s.putRowBack(it)
	return logs
}

func (s *scheduler) endOutage(now time.Time) (logs []logEntry) {
	if s.outage.failures > 0 {
		logs = []logEntry{{text: "the bus answers again", duration: now.Sub(s.outage.since)}}
	}
	s.outage = busOutage{}
	return logs
}

// recordOutage begins or prolongs the outage.
func (s *scheduler) recordOutage(batch []*trackedRow, err error, now time.Time) (logs []logEntry) {
	if errors.Is(err, bus.ErrClosed) {
		s.busClosed = err
	}
	if s.outage.recordFailure(err, now, batch[0].isProbe) {
		s.stats.Outages++
		logs = []logEntry{{text: "the bus does not answer: waiting for it", err: err, isError: true}}
	}
	return logs
}

// retryUnanswered makes a row ready again, behind the others: if it is the one that gets no answer,
// others find out that the bus answers.
func (s *scheduler) retryUnanswered(it *trackedRow) {
	if it.partition.lease.Ending {
		s.putRowBack(it)
		return
	}
	s.inFlight--
	it.partition.busyRows--
	s.makeReady(it)
}

func (e logEntry) logAttributes() []any {
	var all []any
	if e.row != nil {
		of := &e.row.row
		all = append(all, "id", of.Event.ID, "topic", of.Event.Topic, "key", of.Event.Key, "attempts", of.Attempts)
	}
	if e.duration > 0 {
		all = append(all, "after", e.duration)
	}
	if e.err != nil {
		all = append(all, "error", fmt.Sprintf("%.1000s", e.err.Error()))
	}
	return all
}

// receiptKind is what a receipt means for its row.
type receiptKind uint8

const (
	receiptStored   receiptKind = iota
	receiptHopeless             // it can never be published
	receiptRefused              // the bus refused it for what it is
	receiptNoStream             // its topic has no stream, or one that stores nothing now
	receiptUnknown              // the bus did not answer
)

func classifyReceipt(err error) receiptKind {
	switch {
	case err == nil:
		return receiptStored
	case errors.Is(err, bus.ErrTooLarge), errors.Is(err, bus.ErrInvalidEvent):
		return receiptHopeless
	case errors.Is(err, bus.ErrRefused):
		return receiptRefused
	case errors.Is(err, bus.ErrNoStream), errors.Is(err, bus.ErrUnavailable):
		return receiptNoStream
	}
	return receiptUnknown
}
