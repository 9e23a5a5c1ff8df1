package mongo

import "time"

// ceil returns the time in whole milliseconds, as servers keep it, rounded up: what is at or after
// one is at or after the other.
func ceil(t time.Time) time.Time {
	if whole := t.Truncate(time.Millisecond); whole.Before(t) {
		return whole.Add(time.Millisecond)
	}
	return t
}
