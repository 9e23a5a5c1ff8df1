package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/natsserver"
)

var _ bus.Scheduler = (*Bus)(nil)

// OldestScheduling is the oldest release of nats-server that keeps events until they are due.
const OldestScheduling = "2.12.0"

// Headers of a message schedule, beside scheduleHeader.
const (
	scheduleTarget = "Nats-Schedule-Target"
	scheduleAt     = "@at "
)

// Schedule implements bus.Scheduler, on servers from OldestScheduling on, by a message schedule in
// the stream of the topic, under a subject of its own (ScheduleSubjects) that no group's filter
// covers. The stream must allow that (AllowMsgSchedules), and keep limits or be a work queue. An
// event of which a limit of the stream would have the server drop the schedule is refused if that
// is sure, and otherwise warned of in the log. The server publishes it under the same headers, so
// to consumers it is the same event; without Nats-Msg-Id, so the server does not know it. It takes
// the permission to publish to onceish-schedule.<topic>.* as well.
func (b *Bus) Schedule(ctx context.Context, t time.Time, events ...bus.Event) ([]bus.Receipt, error) {
	receipts := make([]bus.Receipt, len(events))
	checked := map[string]bool{}
	for i := range events {
		err := events[i].Validate()
		if err == nil && !checked[events[i].Topic] {
			err = b.checkScheduling(ctx, events[i].Topic, t)
		}
		if err != nil {
			return receipts, failReceipts(receipts, fmt.Errorf("jetstream: schedule event %.64q: %w", events[i].ID, err))
		}
		checked[events[i].Topic] = true
	}
	if len(events) == 0 {
		return nil, nil
	}
	at := scheduleAt + t.UTC().Format(time.RFC3339Nano)
	return b.publishAll(ctx, events, func(m *nats.Msg, e *bus.Event) {
		delete(m.Header, headerNames[attrMessageID]) // a repeat replaces the schedule, and may be another time
		m.Subject = scheduleSubject(e.Topic, e.Identity())
		m.Header[scheduleHeader], m.Header[scheduleTarget] = []string{at}, []string{bus.SubjectOf(e.Topic)}
	})
}

// checkScheduling says why events of a topic cannot be scheduled for a time.
func (b *Bus) checkScheduling(ctx context.Context, topic string, t time.Time) error {
	if version := b.nc.ConnectedServerVersion(); natsserver.Older(version, OldestScheduling) {
		return fmt.Errorf("%w: %s is nats-server %s, and events are scheduled from %s on: upgrade it, or use an outbox",
			errors.ErrUnsupported, b.nc.ConnectedAddr(), version, OldestScheduling)
	}
	info, err := b.publishedStream(ctx, topic)
	if err != nil {
		return err
	}
	c := &info.Config
	if err := bus.CheckDue(t, info.TimeStamp); err != nil {
		return err
	}
	if why := schedulingFault(c, topic); why != "" {
		return fmt.Errorf("%w: stream %q %s", errors.ErrUnsupported, c.Name, why)
	}
	if left := t.Sub(info.TimeStamp); c.MaxAge > 0 && left >= c.MaxAge {
		return fmt.Errorf("%w: it is due in %v, and stream %q keeps nothing for longer than %v: raise its max_age, or use an outbox",
			errors.ErrUnsupported, left.Round(time.Second), c.Name, c.MaxAge)
	}
	if (c.MaxMsgs > 0 || c.MaxBytes > 0) && !b.warnedOfSchedules.Swap(true) {
		b.log.Warn("a stream with scheduled events drops the oldest ones when it is full, whether they are due or not: raise its limits, or use an outbox",
			"stream", c.Name, "max_msgs", c.MaxMsgs, "max_bytes", c.MaxBytes)
	}
	return nil
}

// schedulingFault is why a stream cannot have schedules for a topic, and what to do. Empty: it can.
func schedulingFault(c *jetstream.StreamConfig, topic string) string {
	subject := scheduleSubjectOf(topic)
	switch {
	case strings.HasPrefix(topic, schedulePrefix):
		return fmt.Sprintf("has no events under %q, which is for schedules: choose another topic", topic)
	case c.Mirror != nil || len(c.Sources) > 0:
		return "copies other streams, where a server takes no schedules: schedule on the stream that it copies, or use an outbox"
	case c.Discard == jetstream.DiscardNew:
		return "refuses new messages when it is full (discard: new), where a server takes no schedules: use an outbox"
	case c.Retention == jetstream.InterestPolicy:
		return "keeps only what a consumer waits for, and none waits for a schedule: it would be lost: use an outbox"
	case !c.AllowMsgSchedules:
		return "does not allow schedules: set allow_schedules for it in the section provision and run worker provision, or see nats stream edit --help; it can never be switched off again"
	case !overlapsAny(c.Subjects, subject):
		return fmt.Sprintf("does not take schedules of topic %q: add %s to its subjects", topic, subject)
	case renamedAway(c, subject) != nil:
		return "renames what it stores, schedules included: restrict its subject transform to the topics that it is for, or use an outbox"
	}
	return ""
}

// Scheduled implements bus.Scheduler, with one request for each event, which takes the permission
// to publish to $JS.API.STREAM.MSG.GET.<stream>. They come in the order in which they were
// scheduled.
func (b *Bus) Scheduled(ctx context.Context, pattern string, limit int) ([]bus.ScheduledEvent, error) {
	info, err := b.publishedStream(ctx, pattern)
	if err != nil {
		return nil, fmt.Errorf("jetstream: list what is scheduled: %w", err)
	}
	var out []bus.ScheduledEvent
	ask := messageRequest{Sequence: 1, Subject: scheduleSubjectOf(pattern)}
	for len(out) < limit {
		m, err := b.requestMessage(ctx, fmt.Sprintf("list what is scheduled for %q", pattern), info.Config.Name, ask)
		if err != nil || m == nil {
			return out, err
		}
		if s, ok := b.readSchedule(m, info.Config.Name); ok && bus.Match(pattern, s.Event.Topic) {
			out = append(out, s)
		}
		ask.Sequence = m.Sequence + 1
	}
	return out, nil
}

// readSchedule reads a message as a schedule, which need not be one.
func (b *Bus) readSchedule(m *storedMessage, stream string) (s bus.ScheduledEvent, ok bool) {
	msg, err := m.decode()
	if err != nil {
		return s, false
	}
	at, isAt := strings.CutPrefix(msg.Header.Get(scheduleHeader), scheduleAt)
	if s.Due, err = time.Parse(time.RFC3339, at); err != nil || !isAt {
		return s, false
	}
	msg.Subject = msg.Header.Get(scheduleTarget)
	s.Event, err = decodeMessage(msg, stream, deliveryInfo{sequence: m.Sequence, stored: m.Time.UnixNano()}, b.o.Envelopes)
	return s, err == nil && m.Subject == scheduleSubject(s.Event.Topic, s.Event.Identity())
}

// cancelMargin is how long before it is due an event can be cancelled at last. What the server has
// begun to publish cannot be taken back, and to take a schedule back takes a moment.
const cancelMargin = time.Second

// CancelScheduled implements bus.Scheduler. In the last second before it is due an event can no
// longer be cancelled. It takes the permissions to publish to $JS.API.STREAM.MSG.GET.<stream> and
// $JS.API.STREAM.MSG.DELETE.<stream>.
func (b *Bus) CancelScheduled(ctx context.Context, topic, identity string) error {
	doing := fmt.Sprintf("jetstream: cancel event %.64q of topic %q", identity, topic)
	info, err := b.publishedStream(ctx, topic)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	name := info.Config.Name
	m, err := b.requestMessage(ctx, "read a schedule", name, messageRequest{Last: scheduleSubject(topic, identity)})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if m == nil {
		return fmt.Errorf("%s: %w: it was published, cancelled, or never scheduled", doing, bus.ErrNotScheduled)
	}
	s, ok := b.readSchedule(m, name)
	if !ok {
		return fmt.Errorf("%s: sequence %d of stream %q is no schedule that Onceish has written", doing, m.Sequence, name)
	}
	now, err := b.serverTime(ctx, name)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	case !now.Add(cancelMargin).Before(s.Due):
		return fmt.Errorf("%s: %w: it is due at %s, and cannot be taken back any more", doing, bus.ErrNotScheduled, s.Due.UTC().Format(time.RFC3339Nano))
	}
	if err := b.DeleteEvents(ctx, []bus.Position{{Stream: incarnationOf(info), Sequence: m.Sequence, Stored: m.Time.UTC()}})[0]; err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if now, err = b.serverTime(ctx, name); err != nil || !now.Before(s.Due) {
		return fmt.Errorf("%s: its schedule is gone, but it was due meanwhile: whether it was published is to be seen in the topic alone: %w",
			doing, errors.Join(err, context.DeadlineExceeded))
	}
	return nil
}

// serverTime is the time by the clock of a stream's leader, or a little before.
func (b *Bus) serverTime(ctx context.Context, stream string) (time.Time, error) {
	info, err := b.streamInfo(ctx, stream)
	if err != nil {
		return time.Time{}, err
	}
	return info.TimeStamp, nil
}
