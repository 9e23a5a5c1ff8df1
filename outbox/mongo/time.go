package mongo

import "time"

// ceilMillis returns the time in whole milliseconds, as servers keep it, rounded up: what is at or
// after one is at or after the other.
func ceilMillis(t time.Time) time.Time {
	if whole := t.Truncate(time.Millisecond); whole.Before(t) {
		return whole.Add(time.Millisecond)
	}
	return t
}
