package bus

import (
	"context"
	"time"
)

// Publisher stores events on the bus.
type Publisher interface {
	// Publish blocks until the bus has confirmed, or refused, each event, and returns one Receipt
	// per event, in order; err joins the Receipts' errors. An event whose Receipt has an error may
	// be stored all the same (a confirmation that got lost): publishing it again is safe, because a
	// bus that still knows its MessageID stores it once, and consumers recognise it by its
	// identity. After ErrTooLarge, ErrInvalidEvent, ErrRefused, ErrUnavailable and ErrNoStream it
	// is not stored; the first two are permanent. ErrNoStream may be transient: a stream without a
	// leader looks like a missing one. The events, their data and their headers must not be changed
	// while Publish runs; they are not read after it has returned. Safe for concurrent use; it does
	// not retry.
	Publish(ctx context.Context, events ...Event) ([]Receipt, error)
}

// Receipt is the bus's answer about one event.
type Receipt struct {
	// Sequence is the event's place in its stream.
	Sequence uint64
	// Duplicate reports that the bus already had the event, and stored nothing. It
	// counts as stored.
	Duplicate bool
	// Err is why the event is not known to be stored.
	Err error
}

// Bus is a Publisher that can be subscribed to. Its methods are safe for concurrent use.
type Bus interface {
	Publisher
	// Topic reports what is there, and where the group would start with from. It creates nothing.
	// The topic may be a pattern. A topic without a stream is ErrNoStream. A bus that stores events
	// under another topic than they were published to refuses a topic under which it stores none,
	// and says why; an empty group asks on behalf of a publisher, and is not refused that. A
	// partition's topic also covers what lies below it, see FilterOf.
	Topic(ctx context.Context, topic, group string, from Start) (TopicInfo, error)
	// Subscribe creates or finds the group's cursor, and returns a Source on it. Several sources of
	// a group, in one process or many, share the cursor. A nil o means the defaults. Repeated
	// calls are safe.
	Subscribe(ctx context.Context, topic, group string, o *SubscribeOptions) (Source, error)
}

// SubscribeOptions of Bus.Subscribe. The zero value means the defaults.
type SubscribeOptions struct {
	// From is where a new group starts. Default: at the earliest event.
	From Start
	// Resume is where a cursor starts that has to be created. It takes precedence over From unless
	// it is zero. With a Sequence the cursor starts at the first event after it, whatever the
	// stored times are: the caller knows that the stream still has, up to there, what the group has
	// handled, for example by Exists. Without one it starts at the first event stored at or after
	// Stored. It is an error in another incarnation than its Stream, and in a stream that ends
	// before its Sequence.
	Resume Position
	// AckWait is how long a delivery may stay unsettled before it is redelivered. Default: 30 s.
	AckWait time.Duration
	// Rewind takes the group's cursor back to its floor before the Source is returned: deliveries
	// in flight, to whichever Source, and delays of nacks are forgotten, and everything above the
	// floor is delivered again, by sequence, as if for the first time. So the first delivery is the
	// lowest unsettled event; what was settled above the floor is delivered again as well, unless
	// the bus has deleted it for that. A cursor that has to be created is not rewound.
	//
	// The Source hands out the cursor's deliveries without a gap. Where one was lost on its way, or
	// went to another Source, it hands out what came before, and nothing that came after: Fetch
	// then returns ErrConsumerLost, as Healthy does, and answers may be refused. The caller rewinds
	// again, with another Source. So no event is handed out for the first time before a lower one.
	//
	// It is for a process that is the only one to read this cursor from now on. Other Sources of
	// the group are not closed, though they may find that the cursor is lost; what they have asked
	// for is waited out, and it is an error if they go on asking. An ack of theirs for a delivery
	// from before the rewind settles its event if that has been delivered again by then, and means
	// nothing otherwise.
	Rewind bool
}

// DefaultAckWait is the deadline of a delivery unless SubscribeOptions say otherwise.
const DefaultAckWait = 30 * time.Second

// DefaultMaxUnsettled is how many deliveries of a group may be in flight at once. An event that was
// nacked with a delay stays unsettled, and does not count against it while it waits.
const DefaultMaxUnsettled = 20_000

// Start is where a new group starts. The zero Start is the earliest event; at most one
// field is set.
type Start struct {
	// Latest starts after the newest event.
	Latest bool
	// Time starts at the first event that was stored at or after it.
	Time time.Time
}

// TopicInfo is what a bus reports about a topic before anything is created.
type TopicInfo struct {
	// Start is the watermark of a group that starts as asked: the group does not handle what is at
	// or below it, in sequence and stored time. With Sequence 0 the group starts at Stored; if that
	// is zero, at the earliest event. For a Known group it is always the earliest, because the bus
	// does not know what the group has handled.
	Start Position
	// First is the oldest event that the stream still has; zero if it has none.
	First Position
	// Last is the newest event that was ever in the stream, even if it is gone; zero if there was
	// none. Once the event is gone, its stored time may be zero.
	Last Position
	// Known reports that the group already has a cursor.
	Known bool
	// WorkQueue reports that the stream deletes what one consumer has acknowledged.
	WorkQueue bool
	// Interest reports that the stream keeps an event only until all consumers have acknowledged
	// it; without consumers it keeps none.
	Interest bool
	// MaxAge is how long the stream keeps an event. Zero: unlimited.
	MaxAge time.Duration
	// MaxBytes is the largest event that the bus takes, headers included. Zero: unlimited.
	MaxBytes int
	// MaxHeaderBytes is what an event's headers may have, the bus's own (attributes, message id)
	// included. Zero: unlimited.
	MaxHeaderBytes int
	// ReadOnly reports that what is published to the topic is not stored in the stream under that
	// topic: the stream copies other streams, renames what it stores, or has only old events of it.
	ReadOnly bool
	// Limits are those by which the stream drops events whether they were handled or not.
	Limits Limits
	// RefusesWhenFull reports that the stream is bounded, and refuses new events when it is full.
	RefusesWhenFull bool
}

// Limits of a stream that make it drop its oldest events to take new ones. The zero value of each
// means that it drops none for that.
type Limits struct {
	// Events and Bytes are how much the stream keeps in all, EventsPerTopic how many of one topic.
	Events, Bytes, EventsPerTopic int64
	// EventTTL reports that publishers may set a time after which an event is dropped.
	EventTTL bool
}
