package dedupe

import "errors"

var (
	// ErrFull is returned when a store is at its bound and refuses rather than forgets. It costs no attempt: the call is
	// repeated, and fetching stops meanwhile.
	ErrFull = errors.New("dedupe store is full")
	// ErrKeyRefused is what Claim.Err wraps when a store cannot keep a key, however often it is asked.
	ErrKeyRefused = errors.New("dedupe store refuses this key")
)
