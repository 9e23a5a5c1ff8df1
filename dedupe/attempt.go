package dedupe

import (
	"slices"
	"strings"
	"time"
)

const (
	// MaxHistory is how many failed attempts a store keeps of a key: the last ones.
	MaxHistory = 10
	// MaxAttemptError bounds Attempt.Error as a store keeps it, in bytes.
	MaxAttemptError = 1 << 10
	// MaxAttemptProcess bounds Attempt.Process as a store keeps it, in bytes.
	MaxAttemptProcess = 256
)

// Attempt is a run of a handler that failed.
type Attempt struct {
	// Number is 1 for the first attempt. A run that counted as no attempt has the number of the
	// next one.
	Number int
	// Ended is when the run ended, by the clock of its process. Stores keep milliseconds, in UTC.
	Ended time.Time
	// Took is how long it ran.
	Took time.Duration
	// Process is the name of the process that ran it. Stores cut it to MaxAttemptProcess.
	Process string
	// Token is the fencing token of its claim.
	Token uint64
	// Sequence is that of the delivery in its stream.
	Sequence uint64
	// Error is what the handler returned. Stores cut it to MaxAttemptError.
	Error string
}

// Kept returns the attempt as every store keeps it: its texts are cut between two characters and
// are UTF-8, with U+FFFD in place of what is not.
func (a Attempt) Kept() Attempt {
	a.Ended = a.Ended.UTC().Truncate(time.Millisecond)
	a.Process = keptText(a.Process, MaxAttemptProcess)
	a.Error = keptText(a.Error, MaxAttemptError)
	return a
}

func keptText(s string, limit int) string {
	return strings.Clone(TrimReason(strings.ToValidUTF8(TrimReason(s, limit), "\uFFFD"), limit))
}

// HasAttempt reports whether a history has an attempt. A settlement that brings one which its row
// has was applied before: a late repeat of the claim's request has won the key once more, and now a
// repeat of the settlement matches again. It adds and counts nothing.
func HasAttempt(history []Attempt, a *Attempt) bool {
	return a != nil && len(history) > 0 && slices.Contains(history, a.Kept())
}

// AppendAttempt returns a new history: the attempts before, and one more as stores keep it. Of more
// than MaxHistory the earliest are left out. A nil attempt adds nothing.
func AppendAttempt(history []Attempt, a *Attempt) []Attempt {
	if a == nil {
		return history
	}
	return append(slices.Clip(history[max(0, len(history)-MaxHistory+1):]), a.Kept())
}
