package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/group"
)

// States of a subscription or drainer, as its group is told.
const (
	stateRunning     = "running"
	statePaused      = "paused"
	stateDraining    = "draining"
	stateUnavailable = "unavailable"
	stateLimited     = "limited"
	stateStandby     = "standby"
)

// StateUnhealthy is the group.Subscription.State of a subscription or drainer that makes no
// progress although nothing holds it back.
const StateUnhealthy = "unhealthy"

// memberSubscription is a subscription with what is remembered to describe it.
type memberSubscription struct {
	runningSubscription

	mu          sync.Mutex
	lag         consumer.Lag
	lagKnown    bool
	behind      time.Duration // as of lag
	behindKnown bool
	changes     uint64    // of the group's pauses, and with them of those on the server
	asked       uint64    // changes that were made before the bus was last asked
	ended       uint64    // runs, when it was last described
	described   time.Time // when that was
	rate        float64
	lastSettled time.Time
}

func newMemberSubscription(s runningSubscription) *memberSubscription {
	return &memberSubscription{runningSubscription: s, described: time.Now()}
}

// pollLag asks the bus for the lag. What it does not answer is not known.
func (s *memberSubscription) pollLag(ctx context.Context) {
	s.mu.Lock()
	changes := s.changes
	s.mu.Unlock()
	lag, _, err := s.groupLag(ctx)
	var behind time.Duration
	known := err == nil
	if known && lag.Pending+lag.Unsettled > 0 {
		behind, err = s.sub.Behind(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag, s.lagKnown = lag, known
	s.behind, s.behindKnown = behind, err == nil
	if s.asked = changes; s.asked < s.changes {
		s.lag.PausedFor = 0
	}
}

// forgetServerPause leaves it to the next answer of the bus whether the server pauses the consumer,
// and so whether it is healthy: with a pause of the group, this has changed as well.
func (s *memberSubscription) forgetServerPause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag.PausedFor = 0
	s.changes++
}

func (s *memberSubscription) describe(paused []group.Paused) group.Subscription {
	stats, now := s.sub.Stats(), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.updateRate(countEnded([]runningSubscription{s.runningSubscription}), now)
	out := group.Subscription{
		Topic: s.topic, Owner: s.sub.Owner(), Rate: s.rate, InFlight: int(stats.InFlight), Concurrency: s.options.Concurrency,
		Lag: -1, LastSettled: s.lastSettled, TTLSeconds: s.options.TTL.Seconds(), Order: s.options.Order.String(),
	}
	if s.options.Order.NumPartitions() > 0 {
		out.Partitions = s.sub.Partitions()
	}
	if s.lagKnown {
		out.Lag = int64(s.lag.Pending + s.lag.Unsettled)
	}
	out.State, out.Why = s.explainState(paused, now)
	return out
}

// minRateTime is over how long a rate is measured at least.
const minRateTime = time.Second

func (s *memberSubscription) updateRate(ended uint64, now time.Time) {
	took := now.Sub(s.described)
	if took < minRateTime {
		return
	}
	s.rate = float64(ended-s.ended) / took.Seconds()
	if ended > s.ended {
		s.lastSettled = now
	}
	s.ended, s.described = ended, now
}

// explainState is what holds the subscription back most.
func (s *memberSubscription) explainState(paused []group.Paused, now time.Time) (state, why string) {
	held := s.sub.State()
	pause, isPaused := group.PauseFor(paused, s.topic)
	switch {
	case held.Draining:
		return stateDraining, ""
	case isPaused:
		return statePaused, explainPause(&pause)
	case slices.Equal(held.PausedBy, []string{deferral.PausedBy}):
		return stateRunning, "deferred events wait for their interval, or another process sums them up"
	case len(held.PausedBy) > 0:
		return statePaused, "by the program, in this process alone"
	case s.lag.PausedFor > 0:
		return statePaused, fmt.Sprintf("by nats, for another %v: see nats consumer info", s.lag.PausedFor.Round(time.Second))
	case !held.UnavailableSince.IsZero():
		return stateUnavailable, fmt.Sprintf("the receiver, since %s: %s", held.UnavailableSince.UTC().Format(time.RFC3339), held.Unavailable)
	}
	for _, g := range held.Gates {
		if g.Limit < s.options.Concurrency {
			return stateLimited, explainCapacity(g.Limit, g.Reason, g.Until)
		}
	}
	if held.LimitedUntil.After(now) {
		return stateLimited, s.explainRate(held.LimitedKey)
	}
	if err := s.sub.Healthy(); err != nil && s.asked == s.changes {
		return StateUnhealthy, strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if s.standsBy() {
		return stateStandby, explainStandby(s.options.Order)
	}
	return stateRunning, ""
}

// standsBy reports whether others of the group have all that there is to do, or may have it: a
// process that was killed keeps what it had until its row has expired.
func (s *memberSubscription) standsBy() bool {
	return s.sharesTopic() && len(s.sub.Partitions()) == 0
}

func explainStandby(order consumer.Order) string {
	if order == consumer.Exclusive {
		return "another process of the group has the topic, or may have it: see worker members"
	}
	return "other processes of the group have all partitions, or may have them: see worker members"
}

func (s *memberSubscription) explainRate(key string) string {
	if key == s.topic {
		return "its rate limit"
	}
	return fmt.Sprintf("rate limit of %q", key)
}

func explainCapacity(limit int, reason string, until time.Time) string {
	if limit > 0 {
		return strings.TrimSuffix(fmt.Sprintf("%d at once: %s", limit, reason), ": ")
	}
	if until.IsZero() {
		return reason
	}
	return fmt.Sprintf("%s; until %s", reason, until.UTC().Format(time.RFC3339))
}

// explainPause is what people are told of a pause.
func explainPause(p *group.Paused) string {
	var parts []string
	if p.Unreadable {
		parts = append(parts, "the pause cannot be read: pause or resume again")
	}
	if p.Reason != "" {
		parts = append(parts, p.Reason)
	}
	if p.By != "" {
		parts = append(parts, "by "+p.By)
	}
	parts = append(parts, "since "+p.Since.UTC().Format(time.RFC3339))
	if !p.Until.IsZero() {
		parts = append(parts, "until "+p.Until.UTC().Format(time.RFC3339))
	}
	return strings.Join(parts, ", ")
}

// describe is what the group is told of a drainer.
func (d *drainerRun) describe(paused []group.Paused) group.Subscription {
	stats := d.Stats()
	out := group.Subscription{Topic: group.Outbox, State: stateRunning, Why: d.outboxName(), InFlight: stats.InFlight, Lag: -1}
	pause, isPaused := group.PauseFor(paused, group.Outbox)
	switch err := d.Healthy(); {
	case isPaused:
		out.State, out.Why = statePaused, explainPause(&pause)
	case len(d.PausedBy()) > 0:
		out.State, out.Why = statePaused, "by the program, in this process alone"
	case err != nil:
		out.State, out.Why = StateUnhealthy, strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return out
}
