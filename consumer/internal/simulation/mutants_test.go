package simulation

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// enough seeds to catch any mutant.
const enough = 2000

// TestMutants: each mistake is caught, by the rule that is there for it, in a seed that is
// clean without it.
func TestMutants(t *testing.T) {
	t.Parallel()
	for _, m := range slices.Concat(mutants, placeMutants, ownerMutants) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= enough; seed++ {
				v, caught := broken(Run(seed, &Options{mutation: m.make()}), m.rule)
				if !caught {
					continue
				}
				if clean := Run(seed, &Options{mutation: mutation{scene: m.make().scene}}); len(clean.Violations) > 0 {
					t.Fatalf("seed %d without the mutation: %v", seed, clean.Violations[0])
				}
				t.Logf("seed %d: %v", seed, v)
				return
			}
			t.Errorf("%d seeds do not break %s", enough, m.rule)
		})
	}
}

func broken(r Result, rule string) (Violation, bool) {
	for _, v := range r.Violations {
		if v.Rule == rule {
			return v, true
		}
	}
	return Violation{}, false
}

type mutant struct {
	name, rule string
	make       func() mutation
}

var mutants = []mutant{
	{"ack before mark", "I4", ackBeforeMark},
	{"mark before handler", "I5", markBeforeHandler},
	{"no fence", "I6", noFence},
	{"expiry by absence", "I11", expiryByAbsence},
	{"delete on release", "I11", deleteOnRelease},
	{"owner is the process", "I6", ownerIsProcess},
	{"success forgotten at lease end", "known", successForgotten},
	{"nak after loss", "silent", nakAfterLoss},
	{"dead letter after ack", "I4", letterAfterAck},
	{"attempts counted for crashes", "I11", attemptsForCrashes},
	{"attempts left out of the history", "history", attemptsLeftOut},
	{"a history for what did not run", "history", attemptsMadeUp},
	{"a history that a takeover forgets", "history", historyForgotten},
	{"pause asked before the claim", "I8", func() mutation { return mutation{pauseBeforeClaim: true} }},
	{"the gate's capacity is not looked at", "I8", func() mutation { return mutation{gateIgnored: true} }},
	{"bare message id", "I1", func() mutation { return bareMessageID("shop") }},
	{"bare message id of letters", "I11", func() mutation { return bareMessageID("dead") }},
	{"watermark computed", "I4", watermarkComputed},
	{"hash ignored", "I1", hashIgnored},
	{"lease counted from the answer", "third", func() mutation { return mutation{leaseFromAnswer: true} }},
	{"backoff per delivery", "due", backoffPerDelivery},
	{"second payload overwrites the mark", "payload", secondPayloadWins},
	{"freeze hidden from the Machine", "thaw", func() mutation { return mutation{catchUpTicks: true} }},
	{"unknown commit acknowledged", "I4", func() mutation { return mutation{scene: cutOffInTransactions, ackUnknown: true} }},
	{"effect outside of the transaction", "I2", func() mutation { return mutation{effectOutside: true} }},
	{"dead-lettering is nobody's to take over", "I10", deadLetteringStaysPut},
	{"more starts than may be unmarked", "exposed", func() mutation {
		return mutation{config: func(c *protocol.Config) { c.MaxUnmarked = c.Concurrency + 8 }}
	}},
	{"what is nacked is taken for another owner's", "order", func() mutation {
		return mutation{lookedUp: func(known []dedupe.Record, _ []bool) {
			for i := range known {
				if known[i].State == dedupe.Fresh {
					known[i].State = dedupe.Held
				}
			}
		}}
	}},
	{"what is nacked is taken for dropped", "I1", func() mutation {
		return mutation{lookedUp: func(_ []dedupe.Record, there []bool) { clear(there) }}
	}},
	{"nobody looks what became of what was nacked", "I10", func() mutation { return mutation{neverLooks: true} }},
	{"one refused item fails its batch", "I10", func() mutation { return mutation{settled: refusalFailsBatch} }},
	{"a full store refuses what it holds", "room", func() mutation { return mutation{fullRefusesHeld: true} }},
	{"a letter that was published before is not looked up", "letter", func() mutation { return mutation{lettersNotLookedUp: true} }},
	{"runs go on while marks are refused", "room", func() mutation { return mutation{forgetRefusals: true} }},
	{"absent is superseded", "absent", func() mutation { return mutation{absentIsLost: true} }},
	{"every unavailable failure is the event's own", "blame", func() mutation {
		return mutation{verdict: func(v protocol.Verdict) protocol.Verdict {
			if v.Kind == protocol.Unavailable {
				v.Kind = v.Own
			}
			return v
		}}
	}},
	{"what is deferred is never given up", "I10", func() mutation {
		return mutation{config: func(c *protocol.Config) { c.GiveUp = c.TTL }}
	}},
	{"control headers are obeyed on whatever event", "I1", controlUnbound},
}

// cutOffInTransactions has processes run transactions, and lose the store where it hurts.
func cutOffInTransactions(s *scenario) {
	s.marks, s.transact, s.protocol.ArrivalsAreAttempts = false, true, false
	s.protocol.RunLimit, s.protocol.Commit = s.protocol.Lease, s.protocol.Lease/4
	s.faults[cutOff], s.faults[crash] = true, true
	s.faultRate, s.callTrouble = 0.01, 0.15
}

func ackBeforeMark() mutation { return mutation{settling: ackOn(dedupe.Succeeded)} }

func letterAfterAck() mutation { return mutation{settling: ackOn(dedupe.GivenUp)} }

// ackOn acknowledges when a settlement is sent, not when it is stored.
func ackOn(o dedupe.Outcome) func(*process, []dedupe.Settlement) {
	return func(proc *process, ss []dedupe.Settlement) {
		for _, s := range ss {
			if d := proc.latest[s.Claim.Key]; d != nil && s.Outcome == o {
				proc.sendAnswer(protocol.Answer{Delivery: d, Kind: protocol.Ack})
			}
		}
	}
}

func markBeforeHandler() mutation {
	return mutation{begun: func(proc *process, j *protocol.Job, r *run) {
		if r.claim == nil {
			return
		}
		proc.sim.applySettlements(proc, []dedupe.Settlement{{
			Claim: dedupe.Claim{Key: j.Key(), Nonce: r.claim.nonce, Token: j.Token()}, Outcome: dedupe.Succeeded, TTL: ttl,
		}})
	}}
}

func successForgotten() mutation {
	return mutation{settled: func(proc *process, ss []dedupe.Settlement, errs []error, err error) ([]error, error) {
		if err == nil {
			return errs, nil
		}
		for _, s := range ss {
			c := proc.sim.ledger.owner[s.Claim.Nonce]
			if s.Outcome != dedupe.Succeeded || c == nil || proc.sim.ledger.now().Before(c.until) {
				return errs, err
			}
		}
		return slices.Repeat([]error{dedupe.ErrSuperseded}, len(ss)), nil
	}}
}

func refusalFailsBatch(_ *process, _ []dedupe.Settlement, errs []error, err error) ([]error, error) {
	for _, e := range errs {
		if e != nil && !errors.Is(e, dedupe.ErrSuperseded) {
			return nil, e
		}
	}
	return errs, err
}

func nakAfterLoss() mutation {
	return mutation{answer: func(a protocol.Answer) protocol.Answer {
		if a.Outcome == protocol.Lost {
			a.Kind = protocol.Nak
		}
		return a
	}}
}

// watermarkComputed takes for settled by all what one process is done with.
func watermarkComputed() mutation {
	return mutation{floor: func(proc *process, floor uint64) uint64 {
		if proc.machine.Stats().InFlight > 0 {
			return floor
		}
		for d := range proc.order.came {
			floor = max(floor, d.At.Sequence)
		}
		return floor
	}}
}

// bare publishes under the event's id as message id.
type bare struct {
	bus.Publisher
	stream string
	seen   map[string]uint64
}

func bareMessageID(stream string) mutation {
	return mutation{publisher: func(p bus.Publisher) bus.Publisher {
		return &bare{Publisher: p, stream: stream, seen: make(map[string]uint64)}
	}}
}

func (b *bare) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	id := events[0].ID
	if stream, _, _ := strings.Cut(events[0].Topic, "."); stream != b.stream {
		return b.Publisher.Publish(ctx, events...)
	}
	if seq := b.seen[id]; seq > 0 {
		return []bus.Receipt{{Sequence: seq, Duplicate: true}}, nil
	}
	rs, err := b.Publisher.Publish(ctx, events...)
	if err == nil {
		b.seen[id] = rs[0].Sequence
	}
	return rs, err
}

// unbound publishes control headers as if they had been written for the event that they are on.
type unbound struct{ bus.Publisher }

func controlUnbound() mutation {
	return mutation{publisher: func(p bus.Publisher) bus.Publisher { return unbound{p} }}
}

func (u unbound) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	if h := events[0].Headers; h.Get(bus.HeaderGroup) != "" {
		events = []bus.Event{events[0].WithControl(bus.Control{Letter: h.Get(bus.HeaderLetter), Group: h.Get(bus.HeaderGroup)})}
	}
	return u.Publisher.Publish(ctx, events...)
}

// meddler changes what a store is asked, and what it answers.
type meddler struct {
	dedupe.Claimer
	ask      func(*dedupe.Request)
	answer   func(dedupe.Request, *dedupe.Claim)
	extend   func(*dedupe.Claim)
	settle   func(*dedupe.Settlement)
	settled  func(dedupe.Settlement)
	leaseTTL bool
}

func meddle(build func(*meddler)) mutation {
	return mutation{store: func(c dedupe.Claimer) dedupe.Claimer {
		m := &meddler{
			Claimer: c, ask: func(*dedupe.Request) {}, answer: func(dedupe.Request, *dedupe.Claim) {}, extend: func(*dedupe.Claim) {},
			settle: func(*dedupe.Settlement) {}, settled: func(dedupe.Settlement) {},
		}
		build(m)
		return m
	}}
}

func (m *meddler) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	out := make([]dedupe.Claim, len(rs))
	for i, asked := range rs {
		r := asked
		m.ask(&r)
		cs, err := m.Claimer.Claim(ctx, []dedupe.Request{r})
		if err != nil {
			return nil, err
		}
		m.answer(r, &cs[0])
		out[i] = cs[0]
		out[i].Key, out[i].Nonce = asked.Key, asked.Nonce
	}
	return out, nil
}

func (m *meddler) Extend(ctx context.Context, cs []dedupe.Claim, lease, ttl time.Duration) ([]error, error) {
	out := make([]dedupe.Claim, len(cs))
	for i, c := range cs {
		m.extend(&c)
		out[i] = c
	}
	if m.leaseTTL {
		ttl = lease
	}
	return m.Claimer.Extend(ctx, out, lease, ttl)
}

func (m *meddler) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	out := make([]dedupe.Settlement, len(ss))
	for i, s := range ss {
		m.settle(&s)
		out[i] = s
	}
	errs, err := m.Claimer.Settle(ctx, out)
	for i, e := range errs {
		if e == nil {
			m.settled(ss[i])
		}
	}
	return errs, err
}

func noFence() mutation {
	return meddle(func(m *meddler) {
		owners := make(map[dedupe.Key]string)
		m.answer = func(r dedupe.Request, c *dedupe.Claim) {
			if c.State == dedupe.Fresh || c.State == dedupe.DeadLettering {
				owners[r.Key] = r.Nonce
			}
		}
		m.settle = func(s *dedupe.Settlement) { s.Claim.Nonce = owners[s.Claim.Key] }
	})
}

// expiryByAbsence has a claim end when its row goes.
func expiryByAbsence() mutation {
	return meddle(func(m *meddler) {
		m.ask = func(r *dedupe.Request) { r.TTL = r.Lease }
		m.leaseTTL = true
	})
}

func deleteOnRelease() mutation {
	return meddle(func(m *meddler) {
		rows := generations{}
		rows.install(m)
		m.settled = func(s dedupe.Settlement) {
			if s.Outcome == dedupe.Failed || s.Outcome == dedupe.NotBegun {
				rows[s.Claim.Key]++
			}
		}
	})
}

// secondPayloadWins claims what is reused over whatever is kept of the first.
func secondPayloadWins() mutation {
	return meddle(func(m *meddler) {
		rows := generations{}
		rows.install(m)
		m.answer = func(r dedupe.Request, c *dedupe.Claim) {
			if c.State != dedupe.Reused {
				return
			}
			k := r.Key
			k.Group, _, _ = strings.Cut(k.Group, "/")
			rows[k]++
			rows.name(&r.Key, k)
			if cs, err := m.Claimer.Claim(context.Background(), []dedupe.Request{r}); err == nil {
				*c = cs[0]
			}
		}
	})
}

// generations gives a key a new row whenever its number is raised.
type generations map[dedupe.Key]int

func (g generations) name(to *dedupe.Key, k dedupe.Key) {
	*to = k
	to.Group += "/" + strconv.Itoa(g[k])
}

func (g generations) install(m *meddler) {
	m.ask = func(r *dedupe.Request) { g.name(&r.Key, r.Key) }
	m.extend = func(c *dedupe.Claim) { g.name(&c.Key, c.Key) }
	m.settle = func(s *dedupe.Settlement) { g.name(&s.Claim.Key, s.Claim.Key) }
}

func ownerIsProcess() mutation {
	return meddle(func(m *meddler) {
		runs := make(map[dedupe.Key]int) // a store that is asked by the same owner again lets it claim what it had set free
		owner := func(k dedupe.Key, nonce string) string {
			process, _, _ := strings.Cut(nonce, ":")
			return process + ":" + strconv.Itoa(runs[k])
		}
		m.ask = func(r *dedupe.Request) { r.Nonce = owner(r.Key, r.Nonce) }
		m.answer = func(r dedupe.Request, c *dedupe.Claim) {
			if c.State != dedupe.Held || c.HeldFor > 0 {
				return
			}
			runs[r.Key]++
			r.Nonce = owner(r.Key, r.Nonce)
			if cs, err := m.Claimer.Claim(context.Background(), []dedupe.Request{r}); err == nil {
				*c = cs[0]
			}
		}
		m.extend = func(c *dedupe.Claim) { c.Nonce = owner(c.Key, c.Nonce) }
		m.settle = func(s *dedupe.Settlement) { s.Claim.Nonce = owner(s.Claim.Key, s.Claim.Nonce) }
	})
}

func attemptsForCrashes() mutation {
	return meddle(func(m *meddler) {
		m.answer = func(_ dedupe.Request, c *dedupe.Claim) { c.Attempts += c.Crashes }
	})
}

func attemptsLeftOut() mutation {
	return meddle(func(m *meddler) { m.settle = func(s *dedupe.Settlement) { s.Attempt = nil } })
}

func attemptsMadeUp() mutation {
	return meddle(func(m *meddler) {
		m.settle = func(s *dedupe.Settlement) {
			if s.Attempt == nil && s.Outcome == dedupe.NotBegun {
				s.Attempt = &dedupe.Attempt{Number: s.Claim.Attempts + 1}
			}
		}
	})
}

func historyForgotten() mutation {
	return meddle(func(m *meddler) {
		m.answer = func(_ dedupe.Request, c *dedupe.Claim) {
			if c.Crashes > 0 {
				c.History = nil
			}
		}
	})
}

func hashIgnored() mutation {
	return meddle(func(m *meddler) { m.ask = func(r *dedupe.Request) { r.Hash = nil } })
}

func backoffPerDelivery() mutation {
	return meddle(func(m *meddler) { m.settle = func(s *dedupe.Settlement) { s.After = 0 } })
}

func deadLetteringStaysPut() mutation {
	return meddle(func(m *meddler) {
		owners := make(map[dedupe.Key]string)
		m.settled = func(s dedupe.Settlement) {
			if s.Outcome == dedupe.GivenUp {
				owners[s.Claim.Key] = s.Claim.Nonce
			}
		}
		m.answer = func(r dedupe.Request, c *dedupe.Claim) {
			if c.State == dedupe.DeadLettering && owners[r.Key] != r.Nonce {
				c.State, c.HeldFor = dedupe.Held, r.Lease
			}
		}
	})
}
