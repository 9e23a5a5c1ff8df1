package dedupe

import "time"

const (
	// MaxHistory is how many failed attempts a store keeps of a key: the last ones.
	MaxHistory = 10
	// MaxAttemptError bounds Attempt.Error as a store keeps it, in bytes.
	MaxAttemptError = 1 << 10
)

// Attempt is a run of a handler that failed.
type Attempt struct {
	// Number is 1 for the first attempt. A run that counted as no attempt has the number of the
	// next one.
	Number int
	// Ended is when the run ended, by the clock of its process.
	Ended time.Time
	// Took is how long it ran.
	Took time.Duration
	// Process is the name of the process that ran it.
	Process string
	// Token is the fencing token of its claim.
	Token uint64
	// Sequence is that of the delivery in its stream.
	Sequence uint64
	// Error is what the handler returned. Stores cut it to MaxAttemptError.
	Error string
}
