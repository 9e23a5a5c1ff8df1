package dedupetest

import "github.com/onceish/onceish/dedupe"

// place is where a row is in the life of its key.
type place uint8

const (
	absent place = iota
	claimed
	free
	deadLettering
	done
	dead
)

// row is what a store must know of a key, written as plainly as can be: the model that walks
// and histories are held to. It is comparable. Time has two values: over, or not for as long as
// the test runs.
type row struct {
	place    place
	owner    string // nonce; empty: nobody
	token    uint64 // 0: not known
	attempts int
	crashes  int
	hash     string
	letter   string
	over     bool // its lease is over; free: it is due
	vague    bool // overwritten under its owner's eyes: repeated settlements change nothing, and may be answered either way
}

// asked is a Request, as far as a row is concerned.
type asked struct {
	nonce, hash string
}

// told is an answer, but for times.
type told struct {
	state             dedupe.State
	token             uint64
	attempts, crashes int
	hash, letter      string
}

func tell(c *dedupe.Claim) told {
	return told{c.State, c.Token, c.Attempts, c.Crashes, string(c.Hash), c.Letter}
}

// claim is the row after a request, the answer, and whether the request won it. token is the
// new one's, as answered.
func (r row) claim(q asked, token uint64) (next row, answer dedupe.State, took bool) {
	if r.hash != "" && q.hash != "" && r.hash != q.hash {
		return r, dedupe.Reused, false
	}
	own := r.owner == q.nonce && (r.place == claimed || r.place == deadLettering)
	switch {
	case r.place == done:
		return r, dedupe.Done, false
	case r.place == dead:
		return r, dedupe.Dead, false
	case own:
		r.over = false
	case r.place != absent && !r.over:
		return r, dedupe.Held, false
	default:
		if r.place == claimed {
			r.crashes++
		}
		r.owner, r.token, r.over, r.vague, took = q.nonce, token, false, false, true
	}
	if r.hash == "" {
		r.hash = q.hash
	}
	if r.place == deadLettering {
		return r, dedupe.DeadLettering, took
	}
	r.place = claimed
	return r, dedupe.Fresh, took
}

// fits reports whether an answer is what the row, and the one after the request, allow.
func (r row) fits(next row, state dedupe.State, took bool, got told) bool {
	if got.state != state || got.hash != next.hash {
		return false
	}
	if state != dedupe.Fresh && state != dedupe.DeadLettering {
		return true
	}
	if took && got.token <= r.token || !took && r.token != 0 && got.token != r.token {
		return false
	}
	return got.attempts == next.attempts && got.crashes == next.crashes && (state != dedupe.DeadLettering || got.letter == next.letter)
}

func (r row) extend(nonce string) (row, bool) {
	if r.owner != nonce || r.place != claimed && r.place != deadLettering {
		return r, false
	}
	r.over = false
	return r, true
}

// settle is the row after a settlement, the answer, and whether the contract says which.
func (r row) settle(nonce string, o dedupe.Outcome, letter string, counted bool) (next row, ok, certain bool) {
	if r.owner != nonce {
		return r, false, !r.vague
	}
	from, to := passage(o)
	if r.place != from {
		certain = r.place != free || to != free // a repeated release is not told from another kind of release
		return r, r.place == to || r.place == dead && to == deadLettering, certain
	}
	r.place = to
	if o == dedupe.Failed || o == dedupe.GivenUp && counted {
		r.attempts++
	}
	if to == deadLettering {
		r.letter = letter
	}
	r.over = to == free
	return r, true, true
}

func passage(o dedupe.Outcome) (from, to place) {
	switch o {
	case dedupe.Succeeded:
		return claimed, done
	case dedupe.GivenUp:
		return claimed, deadLettering
	case dedupe.DeadLettered:
		return deadLettering, dead
	case dedupe.Failed, dedupe.NotBegun:
	}
	return claimed, free
}

func (r row) reopen() row {
	if r.place != deadLettering && r.place != dead {
		return r
	}
	return row{place: free, token: r.token, over: true, vague: true}
}

func (r row) mark(state dedupe.State, hash string) row {
	r = row{place: done, token: r.token, hash: hash, vague: true}
	if state == dedupe.Dead {
		r.place = dead
	}
	return r
}

func (r row) seen() dedupe.State {
	switch r.place {
	case claimed:
		return dedupe.Held
	case free:
		if !r.over {
			return dedupe.Held
		}
	case deadLettering:
		return dedupe.DeadLettering
	case done:
		return dedupe.Done
	case dead:
		return dedupe.Dead
	case absent:
	}
	return dedupe.Fresh
}
