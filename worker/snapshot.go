package worker

import (
	"context"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/outbox"
)

// Snapshot is what a worker knows of itself without asking a server: what it counts, and what it
// polled last, once in a third of the TTL of the group's rows (10 s by default).
type Snapshot struct {
	Group string
	// Members is how many processes of the group were alive when they were last counted; at least
	// 1.
	Members int
	// Subscriptions are those that were begun, in the order of Handle.
	Subscriptions []SubscriptionSnapshot
	// Outboxes are those that are published from, in the order of AddDrainer.
	Outboxes []OutboxSnapshot
}

// SubscriptionSnapshot is a subscription as its process knows it.
type SubscriptionSnapshot struct {
	Topic string
	// Status is what the group is told: running, paused, draining, unavailable, limited or
	// unhealthy (StateUnhealthy). Why is the reason, for people; empty if there is none.
	Status, Why string
	// Held is what holds starts back.
	Held  consumer.State
	Stats consumer.Stats
	// Partitions are those that this process owns of PartitionsOf, with the order exclusive 0 of 1
	// while it has the topic. Nil: the order is one within a process. PartitionCounts say how often
	// they have moved.
	Partitions      []int
	PartitionsOf    int
	PartitionCounts PartitionCounts
	// Concurrency is how many handlers run at once at most.
	Concurrency int
	// TTLMargin is by how much marks are kept for longer than an event may be redelivered: TTL
	// without consumer.Options.Horizon. It is negative only where consumer.Options.Unsafe is set.
	TTLMargin time.Duration
	// Lag is how many events the group has not handled, if LagKnown: the bus answered when it was
	// last asked.
	Lag      consumer.Lag
	LagKnown bool
	// Behind is how old the oldest event of the lag was then, if BehindKnown; zero without a lag.
	Behind      time.Duration
	BehindKnown bool
}

// OutboxSnapshot is an outbox as a process that publishes from it knows it.
type OutboxSnapshot struct {
	// Name says where the rows are, for people, without credentials.
	Name string
	// ShortName is the collection that has the rows, with its namespace, and without the server and
	// the database, which are those of the worker. Of a queue that is not in MongoDB it is Name.
	ShortName string
	// Paused is set while nothing is published from it in this process.
	Paused bool
	// Stats are those of the drainer.
	Stats outbox.Stats
	// Backlog is what the outbox had when it was last counted, for all processes, if BacklogKnown:
	// the store can count it, and answered. No more than 10,000 rows of a kind are counted.
	Backlog      outbox.Backlog
	BacklogKnown bool
}

// Snapshot returns what is known now. It does not block for a server, is safe for concurrent use,
// and costs little enough for a scrape of metrics. Before Run there are no subscriptions and
// outboxes; afterwards they are as they ended.
func (w *Worker) Snapshot() Snapshot {
	out := Snapshot{Group: w.group, Members: w.memberCount()}
	m := w.member.Load()
	if m == nil {
		return out
	}
	m.mu.Lock()
	subs, drainers, paused := m.subs, m.drainers, m.paused
	m.mu.Unlock()
	for _, s := range subs {
		out.Subscriptions = append(out.Subscriptions, s.snapshot(paused, time.Now()))
	}
	for _, d := range drainers {
		out.Outboxes = append(out.Outboxes, d.snapshot())
	}
	return out
}

func (s *memberSubscription) snapshot(paused []group.Paused, now time.Time) SubscriptionSnapshot {
	out := SubscriptionSnapshot{
		Topic: s.topic, Held: s.sub.State(), Stats: s.sub.Stats(), Concurrency: s.options.Concurrency, TTLMargin: s.options.TTL - s.options.Horizon(),
	}
	if s.sharesTopic() {
		out.Partitions, out.PartitionsOf, out.PartitionCounts = append([]int{}, s.sub.Partitions()...), s.partitionsOf(), s.partitions.counts()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Lag, out.LagKnown, out.Behind, out.BehindKnown = s.lag, s.lagKnown, s.behind, s.behindKnown
	out.Status, out.Why = s.explainState(paused, now)
	return out
}

func (d *drainerRun) snapshot() OutboxSnapshot {
	out := OutboxSnapshot{Name: d.outboxName(), ShortName: d.shortName(), Paused: len(d.PausedBy()) > 0, Stats: d.Stats()}
	if b := d.backlog.Load(); b != nil {
		out.Backlog, out.BacklogKnown = *b, true
	}
	return out
}

// mostBacklog bounds how many rows are counted.
const mostBacklog = 10_000

// pollBacklog asks the store for the backlog. What it does not answer is not known.
func (d *drainerRun) pollBacklog(ctx context.Context) {
	counter, ok := d.queue.(outbox.BacklogCounter)
	if !ok {
		return
	}
	b, err := counter.CountBacklog(ctx, mostBacklog)
	if err != nil {
		d.backlog.Store(nil)
		return
	}
	d.backlog.Store(&b)
}
