package protocol

import "time"

// Backoff grows from Base, doubling with every attempt, up to Max; what is waited is drawn
// evenly between nothing and that ("full jitter"), so that events which failed together do not
// come back together.
type Backoff struct{ Base, Max time.Duration }

// delayAfter returns how long to wait after the given attempt, 1 being the first.
func (b Backoff) delayAfter(attempt int, random float64) time.Duration {
	return time.Duration(random * float64(doubledUpTo(b.Base, attempt-1, b.Max)))
}

// Copies that are answered held come back after 50 ms, doubling with their arrivals up to 5 s; so
// do calls that failed.
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
