package jetstream

import (
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// loss counts, from above, what a stream dropped before a group saw it. The server does not say
// which events a group has handled, but how far it has come, and how many deliveries that took.
// What was dropped beyond there is lost. Of what was passed between two looks, all that was not
// delivered is lost: that is exact where every event of the stream is the group's and nothing was
// redelivered. Elsewhere it is at most what is gone from the stream, some of which may have been
// handled before.
type loss struct {
	mu     sync.Mutex
	looked bool
	last   look
	passed uint64 // lost events that the group has passed
	lost   uint64
}

// look is what one look at stream and consumer has found.
type look struct {
	sequence, deliveries uint64 // how far the group had come, and in how many deliveries
	again                uint64 // redeliveries that came here
	redelivered          bool   // some that are unsettled were redelivered
	before, inside       uint64 // sequences without an event: before the stream's first, and after
	ahead                uint64 // of them, at most so many beyond where the group had come
}

func newLook(stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo, again uint64) look {
	l := look{
		sequence: consumer.Delivered.Stream, deliveries: consumer.Delivered.Consumer,
		again: again, redelivered: consumer.NumRedelivered > 0,
		before: max(stream.State.FirstSeq, 1) - 1,
	}
	if stream.Config.Retention == jetstream.LimitsPolicy {
		l.inside = uint64(max(0, stream.State.NumDeleted)) // #nosec G115 -- not negative; elsewhere they were acknowledged
	}
	l.ahead = minus(l.before, l.sequence)
	return l
}

func (l *look) gone() uint64 { return l.before + l.inside }

// begin takes the first look. A consumer that was made to resume after a sequence has missed what
// is gone since; deleted is how much of that lies inside of the stream.
func (l *loss) begin(stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo, resume, deleted uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looked, l.last = true, newLook(stream, consumer, 0)
	l.lost = l.last.ahead
	if resume > 0 {
		l.passed = minus(min(l.last.before, l.last.sequence), resume)
		l.lost = minus(l.last.before, resume) + deleted
	}
}

// see takes a further look, and returns how many are lost by now.
func (l *loss) see(stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo, again uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, now := l.last, newLook(stream, consumer, again)
	fresh := minus(now.gone(), was.gone())
	now.ahead = min(now.ahead+min(now.inside, minus(stream.State.LastSeq, now.sequence)), was.ahead+fresh)
	l.passed += lostBetween(&was, &now, fresh, stream, consumer)
	l.last = now
	l.lost = max(l.lost, l.passed+now.ahead)
	return l.lost
}

// lostBetween is how many of the events that the group passed between two looks it did not get.
func lostBetween(was, now *look, fresh uint64, stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo) uint64 {
	passed := minus(now.sequence, was.sequence)
	deliveries := minus(now.deliveries, was.deliveries)
	switch {
	case !was.redelivered && !now.redelivered && was.again == now.again && takesAll(&consumer.Config, &stream.Config):
		return minus(passed, deliveries)
	case stream.Config.Retention != jetstream.LimitsPolicy:
		return 0 // What is gone there was acknowledged.
	}
	return min(was.ahead+fresh, minus(min(now.before, now.sequence), was.sequence)+min(now.inside, passed))
}

// takesAll reports whether every event of the stream is for the consumer.
func takesAll(consumer *jetstream.ConsumerConfig, stream *jetstream.StreamConfig) bool {
	filters := consumer.FilterSubjects
	if len(filters) == 0 {
		filters = []string{consumer.FilterSubject}
	}
	if len(stream.Subjects) == 0 || stream.SubjectTransform != nil || len(stream.Sources) > 0 {
		return false // It may have events of other subjects.
	}
	return !slices.ContainsFunc(stream.Subjects, func(subject string) bool {
		return !slices.ContainsFunc(filters, func(filter string) bool { return filter == "" || bus.Match(filter, subject) })
	})
}

// minus is a - b, and 0 where that is below.
func minus(a, b uint64) uint64 { return a - min(a, b) }
