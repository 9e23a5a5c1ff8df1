package flow

import "time"

// localClock is the time of this machine in nanoseconds of the Unix epoch. It is monotonic: whoever
// sets the machine's clock does not change a limit.
type localClock struct {
	began time.Time
	epoch int64
}

func newLocalClock() localClock {
	began := time.Now()
	return localClock{began, began.UnixNano()}
}

func (c localClock) now() int64 { return c.epoch + int64(time.Since(c.began)) }
