package bus

import "errors"

var (
	// ErrNoStream is returned when no stream takes the topic. From Publish it may pass: for a
	// moment it is also so while the stream has no leader.
	ErrNoStream = errors.New("no stream for this topic")
	// ErrNoEvent is returned by Finder.Get when the event is no longer stored.
	ErrNoEvent = errors.New("no such event is stored")
	// ErrStreamReplaced is returned when the stream is not the one of a known position: it was
	// deleted and made again, or restored from an older copy. Decide again where to begin.
	ErrStreamReplaced = errors.New("the stream is not the one that was known")
	// ErrConsumerLost is returned by Source.Fetch when the group's cursor was deleted on the bus,
	// and by a Source that was opened with SubscribeOptions.Rewind when it missed a delivery.
	ErrConsumerLost = errors.New("the group's consumer is gone")
	// ErrClosed is returned when the Source, or the connection under it, was closed for good.
	ErrClosed = errors.New("bus closed")
	// ErrAnswered is returned when a delivery was answered before.
	ErrAnswered = errors.New("delivery already answered")
	// ErrTooLarge is returned in a Receipt when an event, headers included, exceeds what the bus or
	// the stream takes; it was not stored.
	ErrTooLarge = errors.New("event too large for the bus")
	// ErrInvalidEvent is returned in a Receipt when an event has no ID, no topic to publish to, or
	// something that cannot travel; see Event. It was not sent.
	ErrInvalidEvent = errors.New("invalid event")
	// ErrRefused is returned in a Receipt when the bus answered that it does not take this event.
	// It was not stored, and will not be unless the event or the stream's configuration changes.
	ErrRefused = errors.New("event refused by the bus")
	// ErrUnavailable is returned in a Receipt when the stream answered that it stores nothing
	// now: it is full, sealed, out of resources or without a quorum. The event was not stored;
	// later it may be.
	ErrUnavailable = errors.New("the stream stores nothing now")
)
