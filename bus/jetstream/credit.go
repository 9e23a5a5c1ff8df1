package jetstream

import "time"

// credit counts what the server was asked for and has not handed over. The server tells what is
// left of a pull that ends, but not that a pull was served, nor which pull a delivery belongs to.
// So the count is one over all pulls, and bounded by what those can still bring that have not
// passed their time.
//
// What gets lost (a pull, or a delivery that an old leader did not get confirmed by its replicas)
// stays in the count for as long as later pulls keep the bound above it. So the count is doubted in
// time, and whoever asks waits until it is settled.
type credit struct {
	owed  int
	live  []pull // in the order of their sending; may hold served ones
	first uint64 // number of live[0]
	sum   int    // of the batches in live
	heard uint64 // next when something last came
	doubt time.Time
}

// doubtAfter is how long past the end of the pull that it began with the count is believed, as long
// as it never comes to zero.
const doubtAfter = 3 * time.Second

type pull struct {
	batch int       // 0 once its end was seen
	ends  time.Time // by then it was served, or the server has told its end
}

// asked counts a pull, and returns its number.
func (c *credit) asked(batch int, ends time.Time) uint64 {
	if c.owed == 0 {
		c.doubt = ends.Add(doubtAfter)
	}
	c.live = append(c.live, pull{batch: batch, ends: ends})
	c.owed += batch
	c.sum += batch
	return c.next() - 1
}

// next is the number of the pull that is counted next.
func (c *credit) next() uint64 { return c.first + uint64(len(c.live)) }

// came counts a delivery. One that comes after its pull's time was not owed any more.
func (c *credit) came() {
	c.heard = c.next()
	if c.owed > 0 {
		c.owed--
	}
	if c.owed == 0 {
		c.reset()
	}
}

// ended counts what is left of a pull that the server ended.
func (c *credit) ended(number uint64, left int) {
	if number < c.first || number >= c.next() {
		return
	}
	c.heard = c.next()
	p := &c.live[number-c.first]
	c.owed -= min(left, p.batch, c.owed)
	c.sum -= p.batch
	p.batch = 0
	c.bound()
}

// doubtful reports whether something may be counted that is lost: all that was asked for should
// have come, or its end been told, by now; or the count has not been zero for long. Nothing should
// be asked for until it is.
func (c *credit) doubtful(now time.Time) bool {
	if c.owed == 0 || len(c.live) == 0 {
		return false
	}
	latest := c.live[len(c.live)-1]
	return !now.Before(latest.ends.Add(-pullGrace)) || !now.Before(c.doubt)
}

// expire drops the pulls whose time has passed, and reports whether there was one that neither was
// served nor told its end, and nothing at all came since it was sent.
func (c *credit) expire(now time.Time) (silent bool) {
	n := 0
	for n < len(c.live) && (c.live[n].batch == 0 || !now.Before(c.live[n].ends)) {
		c.sum -= c.live[n].batch
		n++
	}
	c.first += uint64(n)
	c.live = c.live[n:]
	if len(c.live) == 0 {
		c.live = nil
	}
	return c.bound() && c.heard < c.first
}

// reset forgets all pulls. Their numbers are not used again.
func (c *credit) reset() {
	*c = credit{first: c.next(), live: c.live[:0], heard: c.heard}
}

func (c *credit) bound() (was bool) {
	if c.owed <= c.sum {
		return false
	}
	c.owed = c.sum
	return true
}
