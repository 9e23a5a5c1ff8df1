package schema

import "errors"

var (
	// ErrInvalid is returned when an argument or a field of options is out of bounds.
	ErrInvalid = errors.New("invalid argument")
	// ErrInvalidSchema is returned for a text that is no JSON Schema, or one that is refused, see
	// Parse.
	ErrInvalidSchema = errors.New("invalid schema")
	// ErrIncompatible is returned by Add when a version is not compatible with those before it, or
	// when that cannot be decided. It is an *IncompatibleError.
	ErrIncompatible = errors.New("schema is not compatible")
	// ErrConflict is returned by Store.Add when the subject has a version of that number already,
	// or not the one before it.
	ErrConflict = errors.New("another version was added meanwhile")
	// ErrNoSchema is returned when a subject has no schema, or not that version.
	ErrNoSchema = errors.New("no schema")
	// ErrAway is returned when a subject's schemas are not known because the store could not be
	// read.
	ErrAway = errors.New("schemas cannot be read")
	// ErrViolation is returned for an event that violates its schema. It is a *ViolationError.
	ErrViolation = errors.New("event violates its schema")
	// ErrNotPublished is returned in the Receipt of an event that was not published because of
	// another event of the same call.
	ErrNotPublished = errors.New("not published: another event of the batch was refused")
)
