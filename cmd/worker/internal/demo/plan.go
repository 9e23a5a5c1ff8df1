package demo

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	// shareTwice and shareThrice of the events are published two and three times.
	shareTwice, shareThrice = 0.20, 0.05
	// shareFailing of the runs fail.
	shareFailing = 0.02
	// longestRun bounds what a run takes, 10 ms on average.
	longestRun = 20 * time.Millisecond
	// A kill comes when this share of a portion, at least and at most, has its effects. What
	// follows keeps the others busy.
	earliestKill, latestKill = 0.1, 0.7
)

// demoPlan is what a seed decides about the producer and the kills.
type demoPlan struct {
	ids      []string
	messages []string      // the ids in the order in which they are published, copies included
	portions []planPortion // one more than there are kills
}

// planPortion is a part of the messages.
type planPortion struct {
	messages []string
	// kill is how many events have their effects when the kill is due that follows the portion; of
	// the last one, all.
	kill int
}

func newPlan(seed uint64, events, kills int) *demoPlan {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // to be repeated, not to be secret
	p := &demoPlan{ids: make([]string, events)}
	for i := range p.ids {
		p.ids[i] = "order-" + strconv.Itoa(i+1)
		p.messages = append(p.messages, p.ids[i])
		switch r := random.Float64(); {
		case r < shareThrice:
			p.messages = append(p.messages, p.ids[i], p.ids[i])
		case r < shareThrice+shareTwice:
			p.messages = append(p.messages, p.ids[i])
		}
	}
	random.Shuffle(len(p.messages), func(i, j int) { p.messages[i], p.messages[j] = p.messages[j], p.messages[i] })
	p.cutPortions(random, kills)
	return p
}

// cutPortions cuts the messages into portions of about one size.
func (p *demoPlan) cutPortions(random *rand.Rand, kills int) {
	known := make(map[string]bool, len(p.ids))
	for i, n := 0, kills+1; i < n; i++ {
		next := planPortion{messages: p.messages[len(p.messages)*i/n : len(p.messages)*(i+1)/n]}
		before := len(known)
		for _, id := range next.messages {
			known[id] = true
		}
		share := earliestKill + (latestKill-earliestKill)*random.Float64()
		next.kill = before + int(share*float64(len(known)-before))
		p.portions = append(p.portions, next)
	}
	p.portions[kills].kill = len(p.ids)
}

// runFate is how long a run takes and whether it fails, the same in every process.
func runFate(seed uint64, id string, attempt int) (takes time.Duration, fails bool) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))                                       // it never fails
	random := rand.New(rand.NewPCG(seed, h.Sum64()+uint64(attempt))) //nolint:gosec // to be repeated, not to be secret
	return time.Duration(random.Int64N(int64(longestRun))), random.Float64() < shareFailing
}

// newRandom chooses who is killed.
func newRandom(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // to be repeated, not to be secret
}
