package jetstream

import (
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// lossCounter counts, from above, what a stream dropped before a group saw it. The server does not
// say which events a group has handled, but how far it has come, and how many deliveries that took.
// What was dropped beyond there is lost. Of what was passed between two looks, all that was not
// delivered is lost: that is exact where every event of the stream is the group's and nothing was
// redelivered. Elsewhere it is at most what is gone from the stream, some of which may have been
// handled before.
type lossCounter struct {
	mu         sync.Mutex
	sampled    bool
	lastSample lossSample
	passed     uint64 // lost events that the group has passed
	lost       uint64
}

// lossSample is what one look at stream and consumer has found.
type lossSample struct {
	sequence, deliveries         uint64 // how far the group had come, and in how many deliveries
	redeliveries                 uint64 // redeliveries that came here
	hasRedelivered               bool   // some that are unsettled were redelivered
	missingBefore, missingInside uint64 // sequences without an event: before the stream's first, and after
	missingAhead                 uint64 // of them, at most so many beyond where the group had come
}

func newLossSample(stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo, again uint64) lossSample {
	l := lossSample{
		sequence: consumer.Delivered.Stream, deliveries: consumer.Delivered.Consumer,
		redeliveries: again, hasRedelivered: consumer.NumRedelivered > 0,
		missingBefore: max(stream.State.FirstSeq, 1) - 1,
	}
	if stream.Config.Retention == jetstream.LimitsPolicy && !stream.Config.AllowMsgSchedules {
		l.missingInside = uint64(max(0, stream.State.NumDeleted)) // #nosec G115 -- not negative; elsewhere they were acknowledged, or schedules
	}
	l.missingAhead = saturatingSub(l.missingBefore, l.sequence)
	return l
}

func (l *lossSample) missingSequences() uint64 { return l.missingBefore + l.missingInside }

// takeFirstSample takes the first look. A consumer that was made to resume after a sequence has
// missed what is gone since; deleted is how much of that lies inside of the stream.
func (l *lossCounter) takeFirstSample(stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo, resume, deleted uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sampled, l.lastSample = true, newLossSample(stream, consumer, 0)
	l.lost = l.lastSample.missingAhead
	if resume > 0 {
		l.passed = saturatingSub(min(l.lastSample.missingBefore, l.lastSample.sequence), resume)
		l.lost = saturatingSub(l.lastSample.missingBefore, resume) + deleted
	}
}

// addSample takes a further look, and returns how many are lost by now.
func (l *lossCounter) addSample(stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo, again uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, now := l.lastSample, newLossSample(stream, consumer, again)
	fresh := saturatingSub(now.missingSequences(), was.missingSequences())
	now.missingAhead = min(now.missingAhead+min(now.missingInside, saturatingSub(stream.State.LastSeq, now.sequence)), was.missingAhead+fresh)
	l.passed += lostBetween(&was, &now, fresh, stream, consumer)
	l.lastSample = now
	l.lost = max(l.lost, l.passed+now.missingAhead)
	return l.lost
}

// lostBetween is how many of the events that the group passed between two looks it did not get.
func lostBetween(was, now *lossSample, fresh uint64, stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo) uint64 {
	passed := saturatingSub(now.sequence, was.sequence)
	missing := saturatingSub(min(now.missingBefore, now.sequence), was.sequence)
	switch {
	case now.deliveries >= was.deliveries && !was.hasRedelivered && !now.hasRedelivered && was.redeliveries == now.redeliveries &&
		takesAll(&consumer.Config, &stream.Config):
		// Another process may have rewound the consumer, whose deliveries count from zero then.
		missing += uint64(max(0, stream.State.NumDeleted)) // #nosec G115 -- not negative
		return min(missing, saturatingSub(passed, now.deliveries-was.deliveries))
	case stream.Config.Retention != jetstream.LimitsPolicy:
		return 0 // What is gone there was acknowledged.
	}
	return min(was.missingAhead+fresh, missing+min(now.missingInside, passed))
}

// takesAll reports whether every event of the stream is for the consumer.
func takesAll(consumer *jetstream.ConsumerConfig, stream *jetstream.StreamConfig) bool {
	filters := filtersOf(consumer)
	if len(stream.Subjects) == 0 || stream.AllowMsgSchedules || stream.SubjectTransform != nil || len(stream.Sources) > 0 {
		return false // It may have events of other subjects, or schedules that are done and gone.
	}
	return !slices.ContainsFunc(stream.Subjects, func(subject string) bool {
		return !slices.ContainsFunc(filters, func(filter string) bool { return filter == "" || bus.Match(filter, subject) })
	})
}

// saturatingSub is a - b, and 0 where that is below.
func saturatingSub(a, b uint64) uint64 { return a - min(a, b) }
