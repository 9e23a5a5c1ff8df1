package chaos

import (
	"cmp"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

const (
	// shareFailing of the runs fail, and are retried.
	shareFailing = 0.02
	// sharePermanent of the events fail for good: they are to be dead-lettered.
	sharePermanent = 0.01
	// shareLong of the runs take longer than a lease: their claims must be renewed.
	shareLong = 0.002
	// longestRun bounds what the others take.
	longestRun = 50 * time.Millisecond
	// latestCopy is how long after an event its copy is published, at most.
	latestCopy = 2 * time.Second
)

// message is what is published at a time.
type message struct {
	id, key string
	topic   string
	data    string // empty: what chaos's own handler gets
	at      time.Duration
}

// eventPlan is what a seed decides about the events.
type eventPlan struct {
	ids      []string
	messages []message // in the order of their times
}

func newPlan(o *Options) *eventPlan {
	random := newRandom(o.Seed, streamEvents)
	p := &eventPlan{ids: make([]string, o.events())}
	for i := range p.ids {
		at := time.Duration(float64(i) / float64(o.Rate) * float64(time.Second))
		m := message{id: "event-" + strconv.Itoa(i+1), key: "key-" + strconv.Itoa(1+random.IntN(o.Keys)), at: at}
		p.ids[i] = m.id
		p.messages = append(p.messages, m)
		again := random.Float64() < o.Duplicates
		m.at = min(m.at+time.Duration(random.Int64N(int64(latestCopy))), o.Duration)
		if again {
			p.messages = append(p.messages, m)
		}
	}
	slices.SortStableFunc(p.messages, func(a, b message) int { return cmp.Compare(a.at, b.at) })
	return p
}

// isPermanent reports whether an event fails for good.
func isPermanent(seed uint64, id string) bool {
	return fateOf(seed, id, 0).Float64() < sharePermanent
}

// runFate is how long a run takes and whether it fails, the same in every process.
func runFate(seed uint64, id string, attempt int, lease time.Duration) (takes time.Duration, fails bool) {
	random := fateOf(seed, id, attempt)
	takes = time.Duration(random.Int64N(int64(longestRun)))
	fails = random.Float64() < shareFailing
	if random.Float64() < shareLong {
		takes = lease + time.Duration(random.Int64N(int64(lease/2)))
	}
	return takes, fails
}

func fateOf(seed uint64, id string, attempt int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // it never fails
	return newRandom(seed, streamRuns<<60+h.Sum64()>>4+uint64(attempt))
}
