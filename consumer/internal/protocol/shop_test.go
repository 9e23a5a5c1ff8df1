package protocol

import (
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// shop is a Machine with a bus and a store that are always there, and a receiver whose answers a
// test decides. Time passes in steps.
type shop struct {
	*rig
	step   time.Duration
	answer func(id string) Verdict

	back   map[string]time.Time // when what was nacked is delivered again
	order  []string             // as published
	came   map[string]int
	runs   map[string]int
	marked map[string]bool
	dead   map[string]string // by reason
	starts []time.Time
	claims map[string]*dedupe.Claim
}

func openShop(t *testing.T, change func(*Config)) *shop {
	t.Helper()
	return &shop{
		rig: newRig(t, change), step: 25 * time.Millisecond, back: make(map[string]time.Time), came: make(map[string]int),
		runs: make(map[string]int), marked: make(map[string]bool), dead: make(map[string]string),
		claims: make(map[string]*dedupe.Claim),
	}
}

func (s *shop) publish(ids ...string) {
	for _, id := range ids {
		s.order = append(s.order, id)
		s.back[id] = s.now
	}
}

// deliver hands over up to n events that are due, those first that came before.
func (s *shop) deliver(n int) {
	var as []Arrival
	for _, again := range []bool{true, false} {
		for i, id := range s.order {
			due, waits := s.back[id]
			if len(as) == n || !waits || again != (s.came[id] > 0) || due.After(s.now) {
				continue
			}
			delete(s.back, id)
			s.came[id]++
			as = append(as, arrival(id, uint64(i+1), arrivals(s.came[id])))
		}
	}
	s.Fetched(s.now, as)
}

// work does all there is to do now.
func (s *shop) work() {
	for busy := true; busy; {
		busy = false
		if n, ok := s.Fetch(s.now); ok && n > 0 {
			before := len(s.jobs.byKey)
			s.deliver(n)
			busy = len(s.jobs.byKey) != before
		}
		busy = s.claimAll() || busy
		var began []*Job
		for j := s.Next(s.now); j != nil; j = s.Next(s.now) {
			if s.Begin(s.now, j) {
				began = append(began, j)
				s.starts = append(s.starts, s.now)
				s.runs[j.Key().ID]++
			}
		}
		for _, j := range began {
			s.Ran(s.now, j, s.answer(j.Key().ID))
		}
		busy = s.settleAll() || len(began) > 0 || busy
		s.storeLetters()
		s.tellAll()
		if err := s.Audit(); err != nil {
			s.Fatal(err)
		}
	}
}

func (s *shop) claimAll() bool {
	b := s.Claims(s.now)
	if b.Empty() {
		return false
	}
	cs := make([]dedupe.Claim, len(b.Items))
	for i, q := range b.Items {
		c := s.claims[q.Key.ID]
		if c == nil {
			c = &dedupe.Claim{State: dedupe.Fresh, Token: 1}
			s.claims[q.Key.ID] = c
		}
		cs[i] = *c
		cs[i].Key, cs[i].Nonce, cs[i].HeldFor = q.Key, q.Nonce, q.Lease
	}
	s.Claimed(s.now, b, cs, nil)
	return true
}

func (s *shop) settleAll() bool {
	b := s.Settlements(s.now)
	if b.Empty() {
		return false
	}
	for _, item := range b.Items {
		id := item.Claim.Key.ID
		switch item.Outcome {
		case dedupe.Succeeded:
			s.marked[id] = true
		case dedupe.GivenUp:
			s.dead[id] = item.Reason
		case dedupe.Failed:
			s.claims[id].Attempts++
		case dedupe.NotBegun, dedupe.DeadLettered:
		}
	}
	s.Settled(s.now, b, make([]error, len(b.Items)), nil)
	return true
}

func (s *shop) storeLetters() {
	for _, l := range s.Letters(s.now) {
		s.LetterPublished(s.now, l, nil)
	}
}

func (s *shop) tellAll() {
	for _, a := range s.Answers() {
		if a.Kind == Nak {
			s.back[a.Delivery.Event.ID] = s.now.Add(a.After)
		}
	}
}

// trade lets time pass.
func (s *shop) trade(d time.Duration) {
	s.Helper()
	for end := s.now.Add(d); s.now.Before(end); {
		s.work()
		s.now = s.now.Add(s.step)
		s.Tick(s.now)
	}
}
