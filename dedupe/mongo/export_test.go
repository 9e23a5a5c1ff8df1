package mongo

import "time"

// Skew is options under which the machine's clock is off by d.
func (o Options) Skew(d time.Duration) *Options {
	o.now = func() time.Time { return time.Now().Add(d) }
	return &o
}

// Clock is options under which the machine has another clock.
func (o Options) Clock(now func() time.Time) *Options {
	o.now = now
	return &o
}
