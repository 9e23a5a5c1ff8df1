package jetstream

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCredit(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	var c credit
	first := c.asked(10, now.Add(time.Second))
	c.came()
	second := c.asked(5, now.Add(2*time.Second))
	if c.owed != 14 || second != first+1 {
		t.Fatalf("owed %d, pulls %d and %d; want 14 and successors", c.owed, first, second)
	}
	c.ended(first, 3)
	if c.owed != 5 {
		t.Fatalf("owed %d after the first pull ended; want no more than the second can bring", c.owed)
	}
	c.ended(first, 3) // again
	c.ended(second+1, 3)
	if c.owed != 5 {
		t.Fatalf("owed %d after ends of no pull; want 5", c.owed)
	}
	if c.expire(now.Add(time.Second)) {
		t.Fatal("a pull that told its end is silent")
	}
	if !c.expire(now.Add(2*time.Second)) || c.owed != 0 {
		t.Fatalf("owed %d; the second pull is past its time, and silent", c.owed)
	}
	c.came() // late
	if third := c.asked(1, now); third != second+1 || c.owed != 1 {
		t.Fatalf("pull %d, owed %d; want the next number, and 1", third, c.owed)
	}
	c.came()
	if c.expire(now.Add(time.Hour)) {
		t.Fatal("a pull that was served is silent")
	}
}

// A server that serves pulls in any order, and tells some ends, is owed no less than is still to come; and once
// all pulls are past their time, nothing is owed.
func TestCreditCoversWhatIsToCome(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c credit
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
				open[c.asked(n, now.Add(time.Second))] = n
			},
			"deliver": func(*rapid.T) {
				number := pick()
				c.came()
				if open[number]--; open[number] == 0 {
					delete(open, number)
				}
			},
			"end": func(*rapid.T) {
				number := pick()
				c.ended(number, open[number])
				delete(open, number)
			},
			"pass": func(t *rapid.T) {
				now = now.Add(time.Second)
				c.expire(now)
				clear(open)
				if c.owed != 0 || c.sum != 0 || len(c.live) != 0 {
					t.Fatalf("owed %d when all is past: %+v", c.owed, c)
				}
			},
			"": func(t *rapid.T) {
				left := 0
				for _, n := range open {
					left += n
				}
				if c.owed != left {
					t.Fatalf("owed %d; %d are to come", c.owed, left)
				}
			},
		})
	})
}
