package outbox

import "errors"

var (
	// ErrExists is returned by a store's Add when there is a row of an event with the same topic,
	// source and id, and another payload.
	ErrExists = errors.New("the outbox has another event with this topic, source and id")
	// ErrNoFilter is returned by Admin.Retry and Admin.Drop when the filter would
	// select everything.
	ErrNoFilter = errors.New("the filter is empty")
	// ErrDrainIncomplete is returned by Drainer.Run when events were published and could not be
	// marked: they will be published again.
	ErrDrainIncomplete = errors.New("drain incomplete")
)
