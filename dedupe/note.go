package dedupe

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxNote bounds Note.Text, in bytes.
const MaxNote = 64

// Noter is found by assertion on a Claimer. It keeps a short text with a claim, so that a decision
// that was made in a run is known to whoever runs the event next. Safe for concurrent use.
type Noter interface {
	// Note keeps each text in the row of its claim, in place of an earlier one, and renews the
	// claim as Extend does. Every later Claim of the key is answered with it, until the key is
	// reopened, a Mark is written over it, or its TTL is over. Items are errors, as those of
	// Extend: nil means that the text is kept; one that wraps ErrSuperseded, that the claim is
	// another's by now, or settled, and nothing was changed. A text that CheckNote refuses is
	// refused alone. A key occurs at most once. Every call may be repeated; it blocks as the calls
	// of Claimer do.
	Note(ctx context.Context, ns []Note, lease, ttl time.Duration) ([]error, error)
}

// Note is a text for the row of a claim.
type Note struct {
	// Claim as it was answered.
	Claim Claim
	// Text is what CheckNote allows.
	Text string
}

// CheckNote returns why a text cannot be a note: it must be UTF-8 of 1 to MaxNote bytes. The error
// wraps ErrKeyRefused, for no repeat will help.
func CheckNote(text string) error {
	if text == "" || len(text) > MaxNote || !utf8.ValidString(text) {
		return fmt.Errorf("%w: the note %.80q: it must be UTF-8 of 1 to %d bytes", ErrKeyRefused, text, MaxNote)
	}
	return nil
}
