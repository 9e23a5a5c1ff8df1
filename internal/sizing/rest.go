package sizing

import "time"

// Outbox estimates the rows of an outbox in MongoDB: of so many events per second, with so many
// bytes of data, whose rows are kept for some time after they were sent.
func Outbox(rate float64, keep time.Duration, data int) Size {
	f := footprint{data: each{294, 1}, disk: each{620, 1}, index: each{fixed: 690}, memory: each{fixed: 690}}
	return f.times(rate*keep.Seconds(), data)
}

// Letters estimates dead letters in JetStream, of events with so many bytes of data.
func Letters(count float64, data int) Size {
	f := footprint{data: each{1400, 1}, disk: each{1400, 1}}
	return f.times(count, data)
}
