package deferral

import "errors"

var (
	// ErrConfig is wrapped by Open and Tracker.Update when a field of Config or Options is out of
	// bounds; the message names it.
	ErrConfig = errors.New("deferral: the configuration is not valid")
	// ErrTopic is wrapped by Open when deferred events could not be kept on their topic.
	ErrTopic = errors.New("deferral: the topic of deferred events cannot be used")
	// ErrStore is wrapped by Open when the store cannot keep decisions: it is no dedupe.Claimer, or
	// no dedupe.Noter.
	ErrStore = errors.New("deferral: the store cannot keep decisions")
	// ErrReused is returned by Tracker.Track for an ID that was tracked with another payload.
	ErrReused = errors.New("deferral: the ID was tracked with another payload")
	// ErrOverflow is wrapped by the errors of events beyond Config.MaxKeys where Config.Overflow is
	// DeadLetter.
	ErrOverflow = errors.New("deferral: too many keys have deferred events")
	// ErrNotDeferred is wrapped by the reason of the dead letter of an event that somebody else has
	// published to the topic of deferred events.
	ErrNotDeferred = errors.New("deferral: no deferred event")
)
