package protocol

import (
	"time"
)

// Backoff is how long retries wait. It grows from Base, doubling with every attempt, up to Max. The
// wait is drawn evenly between nothing and that ("full jitter"), so that events which failed
// together are not redelivered together.
type Backoff struct{ Base, Max time.Duration }

// delayAfter is how long to wait after the given attempt, 1 being the first.
func (b Backoff) delayAfter(attempt int, random float64) time.Duration {
	return time.Duration(random * float64(doubledUpTo(b.Base, attempt-1, b.Max)))
}

// Held copies are redelivered after 50 ms, doubling with their arrivals up to 5 s. Calls that
// failed are repeated likewise.
const (
	retryBase = 50 * time.Millisecond
	retryMax  = 5 * time.Second
)

func heldNakDelay(arrivals int) time.Duration { return doubledUpTo(retryBase, arrivals-1, retryMax) }

func doubledUpTo(base time.Duration, times int, limit time.Duration) time.Duration {
	for ; times > 0 && base < limit; times-- {
		base *= 2
	}
	return min(base, limit)
}
