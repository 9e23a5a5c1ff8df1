package jetstream

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCredit(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	var c pullCredit
	first := c.addPull(10, now.Add(time.Second))
	c.countDelivery()
	second := c.addPull(5, now.Add(2*time.Second))
	if c.requested != 14 || second != first+1 {
		t.Fatalf("owed %d, pulls %d and %d; want 14 and successors", c.requested, first, second)
	}
	c.endPull(first, 3)
	if c.requested != 5 {
		t.Fatalf("owed %d after the first pull ended; want no more than the second can bring", c.requested)
	}
	c.endPull(first, 3) // again
	c.endPull(second+1, 3)
	if c.requested != 5 {
		t.Fatalf("owed %d after ends of no pull; want 5", c.requested)
	}
	if c.dropExpired(now.Add(time.Second)) {
		t.Fatal("a pull that told its end is silent")
	}
	if c.dropExpired(now.Add(2*time.Second)) || c.requested != 0 {
		t.Fatalf("owed %d; the second pull is past its time, and lost, but something came since it was sent", c.requested)
	}
	c.countDelivery() // late
	if third := c.addPull(1, now); third != second+1 || c.requested != 1 {
		t.Fatalf("pull %d, owed %d; want the next number, and 1", third, c.requested)
	}
	if !c.dropExpired(now) || c.requested != 0 {
		t.Fatalf("owed %d; the third pull is past its time, and nothing came since it was sent", c.requested)
	}
	c.addPull(1, now)
	c.countDelivery()
	if c.dropExpired(now.Add(time.Hour)) {
		t.Fatal("a pull that was served is silent")
	}
}

// A server that serves pulls in any order, and tells some ends, is owed no less than is still to
// come; and once all pulls are past their time, nothing is owed.
func TestCreditCoversWhatIsToCome(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c pullCredit
		now := time.Unix(1000, 0)
		open := map[uint64]int{} // what each pull is still to bring
		pick := func() uint64 {
			var numbers []uint64
			for number := range open {
				numbers = append(numbers, number)
			}
			if len(numbers) == 0 {
				t.Skip("no pull")
			}
			return rapid.SampledFrom(numbers).Draw(t, "pull")
		}
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				n := rapid.IntRange(1, 20).Draw(t, "n")
				open[c.addPull(n, now.Add(time.Second))] = n
			},
			"deliver": func(*rapid.T) {
				number := pick()
				c.countDelivery()
				if open[number]--; open[number] == 0 {
					delete(open, number)
				}
			},
			"end": func(*rapid.T) {
				number := pick()
				c.endPull(number, open[number])
				delete(open, number)
			},
			"pass": func(t *rapid.T) {
				now = now.Add(time.Second)
				c.dropExpired(now)
				clear(open)
				if c.requested != 0 || c.sum != 0 || len(c.openPulls) != 0 {
					t.Fatalf("owed %d when all is past: %+v", c.requested, c)
				}
			},
			"": func(t *rapid.T) {
				left := 0
				for _, n := range open {
					left += n
				}
				if c.requested != left {
					t.Fatalf("owed %d; %d are to come", c.requested, left)
				}
			},
		})
	})
}

// What was lost is not counted for ever, though the traffic never ceases and every pull is
// served at once.
func TestCreditForgetsWhatWasLost(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string][]int{
		// The caller's limit falls below what is lost, so it waits, and rises when it has
		// waited in vain.
		"waiting in between": {8, 2}, "waiting now and then": {500, 500, 500, 1}, "without a break": {500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const lost = 3
			var c pullCredit
			start := time.Unix(1000, 0)
			c.addPull(lost, start.Add(pullExpires+pullGrace))
			now, came := start, 0
			for i := 0; c.requested > 0; i++ {
				if now.Sub(start) > 8*time.Second {
					t.Fatalf("after %v and %d deliveries %d are owed; %d were lost: %+v", now.Sub(start), came, c.requested, lost, c.openPulls)
				}
				limit := limits[i%len(limits)]
				c.dropExpired(now)
				if c.requested > limit/2 || c.isDoubtful(now) {
					now = now.Add(fetchWait)
					continue
				}
				n := limit - c.requested
				c.addPull(n, now.Add(pullExpires+pullGrace))
				for range n {
					c.countDelivery()
				}
				came += n
				now = now.Add(10 * time.Millisecond)
			}
			if came == 0 {
				t.Error("nothing came")
			}
		})
	}
}

// While all that is asked for comes, or its end is told, in time, the count is in doubt only after
// long traffic without a break, and no longer than it takes to come to zero.
func TestCreditIsNotDoubtedWithoutReason(t *testing.T) {
	t.Parallel()
	var c pullCredit
	now := time.Unix(1000, 0)
	ask := func(n int) uint64 { return c.addPull(n, now.Add(pullExpires+pullGrace)) }
	for range 10 {
		number := ask(5)
		c.countDelivery()
		now = now.Add(pullExpires - time.Millisecond)
		if c.isDoubtful(now) {
			t.Fatal("a pull is doubted before its end")
		}
		if now = now.Add(2 * time.Millisecond); !c.isDoubtful(now) {
			t.Fatal("a pull is believed though it should have told its end")
		}
		if c.endPull(number, 4); c.isDoubtful(now) {
			t.Fatal("nothing is owed, and that is doubted")
		}
	}
	ask(2)
	begun := now
	for ; !c.isDoubtful(now); now = now.Add(100 * time.Millisecond) {
		c.countDelivery()
		ask(1)
	}
	if d := now.Sub(begun); d < 4*time.Second || d > 6*time.Second {
		t.Errorf("the count is doubted after %v without a break", d)
	}
	c.countDelivery()
	c.countDelivery()
	if c.isDoubtful(now) {
		t.Error("a count of zero is doubted")
	}
}
