package mongodoc

import "time"

// Clock is options under which the machine has another clock.
func (o Options) Clock(now func() time.Time) *Options {
	o.now = now
	return &o
}

// Grace is options under which a mark goes d after its event was seen done.
func (o Options) Grace(d time.Duration) *Options {
	o.grace = d
	return &o
}
