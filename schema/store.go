package schema

import "context"

// Store keeps versions of schemas. All rules are in this package; a Store only keeps versions,
// which never change and are never deleted by it. Its methods are safe for concurrent use. They
// block until the store has answered, or ctx ends, and retry nothing.
type Store interface {
	// Subjects returns all subjects that have a version, sorted by topic and type.
	Subjects(ctx context.Context) ([]Subject, error)
	// Versions returns the versions of a subject above a number, in order; none is no error. It
	// sees every version whose Add had returned before it was called.
	Versions(ctx context.Context, s Subject, above int) ([]Version, error)
	// Add keeps the version that follows on those of its subject. It returns ErrConflict unless
	// v.Number is one more than the last number: of several calls with one number, one succeeds. A
	// call that failed otherwise may have been carried out.
	Add(ctx context.Context, v Version) error
}
