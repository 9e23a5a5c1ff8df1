package jetstream

import "time"

// pullCredit counts what the server was asked for and has not handed over. The server tells what is
// left of a pull that ends, but not that a pull was served, nor which pull a delivery belongs to.
// So the count is one over all pulls, and bounded by what those can still bring that have not
// passed their time.
//
// What gets lost (a pull, or a delivery that an old leader did not get confirmed by its replicas)
// stays in the count for as long as later pulls keep the bound above it. So the count is doubted in
// time, and whoever asks waits until it is settled.
type pullCredit struct {
	requested  int
	openPulls  []pullRequest // in the order of their sending; may hold served ones
	first      uint64        // number of openPulls[0]
	sum        int           // of the batches in openPulls
	lastHeard  uint64        // next when something last came
	doubtfulAt time.Time
}

// doubtAfter is how long past the end of the pull that it began with the count is believed, as long
// as it never comes to zero.
const doubtAfter = 3 * time.Second

type pullRequest struct {
	batch int       // 0 once its end was seen
	ends  time.Time // by then it was served, or the server has told its end
}

// addPull counts a pull, and returns its number.
func (c *pullCredit) addPull(batch int, ends time.Time) uint64 {
	if c.requested == 0 {
		c.doubtfulAt = ends.Add(doubtAfter)
	}
	c.openPulls = append(c.openPulls, pullRequest{batch: batch, ends: ends})
	c.requested += batch
	c.sum += batch
	return c.nextNumber() - 1
}

// nextNumber is the number of the pull that is counted next.
func (c *pullCredit) nextNumber() uint64 { return c.first + uint64(len(c.openPulls)) }

// countDelivery counts a delivery. One that arrives after its pull has expired is not subtracted.
func (c *pullCredit) countDelivery() {
	c.lastHeard = c.nextNumber()
	if c.requested > 0 {
		c.requested--
	}
	if c.requested == 0 {
		c.reset()
	}
}

// endPull counts what is left of a pull that the server ended.
func (c *pullCredit) endPull(number uint64, left int) {
	if number < c.first || number >= c.nextNumber() {
		return
	}
	c.lastHeard = c.nextNumber()
	p := &c.openPulls[number-c.first]
	c.requested -= min(left, p.batch, c.requested)
	c.sum -= p.batch
	p.batch = 0
	c.clampRequested()
}

// isDoubtful reports whether something may be counted that is lost: all that was asked for should
// have come, or its end been told, by now; or the count has not been zero for long. Nothing should
// be asked for until it is.
func (c *pullCredit) isDoubtful(now time.Time) bool {
	if c.requested == 0 || len(c.openPulls) == 0 {
		return false
	}
	latest := c.openPulls[len(c.openPulls)-1]
	return !now.Before(latest.ends.Add(-pullGrace)) || !now.Before(c.doubtfulAt)
}

// dropExpired drops the pulls whose time has passed, and reports whether there was one that neither
// was served nor told its end, and nothing at all came since it was sent.
func (c *pullCredit) dropExpired(now time.Time) (silent bool) {
	n := 0
	for n < len(c.openPulls) && (c.openPulls[n].batch == 0 || !now.Before(c.openPulls[n].ends)) {
		c.sum -= c.openPulls[n].batch
		n++
	}
	c.first += uint64(n)
	c.openPulls = c.openPulls[n:]
	if len(c.openPulls) == 0 {
		c.openPulls = nil
	}
	return c.clampRequested() && c.lastHeard < c.first
}

// reset forgets all pulls. Their numbers are not used again.
func (c *pullCredit) reset() {
	*c = pullCredit{first: c.nextNumber(), openPulls: c.openPulls[:0], lastHeard: c.lastHeard}
}

func (c *pullCredit) clampRequested() (was bool) {
	if c.requested <= c.sum {
		return false
	}
	c.requested = c.sum
	return true
}
