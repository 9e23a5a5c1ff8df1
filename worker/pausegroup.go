package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/group"
)

// PauseResult is what became of a pause or a resume.
type PauseResult struct {
	group.Result

	// Warnings are what the operator should know: nothing of it keeps the group from being paused.
	Warnings []string `json:"warnings,omitempty"`
}

// longestServerPause is how long the server is told to pause a consumer for which nobody said when
// the pause ends.
const longestServerPause = 30 * 24 * time.Hour

// PauseGroup is group.Pause for a group on the bus, or for one of its topics. On JetStream its
// consumers are paused on the server as well, so that other clients see it. A group that has
// neither a consumer nor a member is ErrNoGroup, and so is a topic to which none of them is
// subscribed. With group.ErrUnconfirmed the result tells who has not confirmed.
func (c *Connections) PauseGroup(ctx context.Context, name string, r group.Request) (out PauseResult, err error) {
	store, found, err := c.findGroup(ctx, name, r.Topic)
	if err != nil {
		return out, err
	}
	out.Warnings = found.warnOfLongPause(r)
	if r.Topic == group.Outbox && len(found.members) > 0 && !found.hasOutbox() {
		out.Warnings = append(out.Warnings, "no process of the group publishes from an outbox now")
	}
	out.Result, err = group.Pause(ctx, store, name, r)
	if err != nil && !errors.Is(err, group.ErrUnconfirmed) {
		return out, err
	}
	if serverErr := c.pauseConsumers(ctx, store, name, found, &out.Result); serverErr != nil {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the group is paused, but the server does not show it: %v", serverErr))
	}
	return out, err
}

// ResumeGroup is group.Resume for a group on the bus, or for one of its topics. It ends the pause
// of its consumers on the server as well, also one that somebody made by other means.
func (c *Connections) ResumeGroup(ctx context.Context, name string, r group.Request) (out PauseResult, err error) {
	store, found, err := c.findGroup(ctx, name, r.Topic)
	if err != nil {
		return out, err
	}
	before, err := group.Pauses(ctx, store, name)
	if err != nil {
		return out, err
	}
	if r.IfRevision > 0 && !slices.ContainsFunc(before, func(p group.Paused) bool { return p.Topic == r.Topic && p.Revision == r.IfRevision }) {
		return out, fmt.Errorf("group %q: %w", name, group.ErrConflict)
	}
	if !found.isPaused(before, r.Topic) {
		out.Warnings = append(out.Warnings, "it was not paused")
	}
	others := slices.DeleteFunc(before, func(p group.Paused) bool { return p.Topic == r.Topic })
	// First the server: a resume that is cut off leaves the group paused, and not a consumer.
	for _, g := range found.consumers {
		if _, stays := group.PauseFor(others, g.Topic); stays || g.PausedFor == 0 {
			continue
		}
		if err := found.bus.ResumeGroup(ctx, g); err != nil {
			out.Warnings = append(out.Warnings, fmt.Sprintf("the server still pauses the consumer of %q: %v", g.Topic, err))
		}
	}
	out.Result, err = group.Resume(ctx, store, name, r)
	if err != nil {
		return out, err
	}
	left, err := group.Pauses(ctx, store, name)
	for _, p := range left {
		out.Warnings = append(out.Warnings, "another pause holds: "+DescribePause(&p))
	}
	return out, err
}

// DescribePause returns what a pause holds for, why, and until when, for people. A breaker of the
// group that is open is a pause as well.
func DescribePause(p *group.Paused) string {
	topic, isBreaker := strings.CutPrefix(p.Topic, breakerScope)
	switch {
	case isBreaker:
		return fmt.Sprintf("the breaker of %q is open (%s)", topic, explainPause(p))
	case p.Topic == "":
		return fmt.Sprintf("the whole group is paused (%s)", explainPause(p))
	case p.Topic == group.Outbox:
		return fmt.Sprintf("the outbox is paused (%s)", explainPause(p))
	}
	return fmt.Sprintf("topic %q is paused (%s)", p.Topic, explainPause(p))
}

// foundGroup is what there is of a group.
type foundGroup struct {
	bus       *natsbus.Bus // nil: another one
	consumers []natsbus.Group
	members   []group.Member
}

// findGroup returns the consumers and members of a group that a request is about.
func (c *Connections) findGroup(ctx context.Context, name, topic string) (group.Store, *foundGroup, error) {
	store, err := c.GroupStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	found := &foundGroup{}
	if found.members, err = group.Members(ctx, store, name); err != nil {
		return nil, nil, err
	}
	if b, ok := c.bus.(*natsbus.Bus); ok {
		found.bus = b
		if found.consumers, err = b.Groups(ctx); err != nil {
			return nil, nil, err
		}
		found.consumers = slices.DeleteFunc(found.consumers, func(g natsbus.Group) bool { return g.Name != name })
	}
	topics := found.topics()
	switch {
	case len(found.members)+len(found.consumers) == 0:
		return nil, nil, fmt.Errorf("%w: nothing on %s consumes as group %q", ErrNoGroup, c.BusName(), name)
	case topic != "" && topic != group.Outbox && !slices.Contains(topics, topic):
		return nil, nil, fmt.Errorf("%w: group %q is not subscribed to %q, but to %s: a pattern is paused as a whole",
			ErrNoGroup, name, topic, strings.Join(topics, ", "))
	}
	found.consumers = slices.DeleteFunc(found.consumers, func(g natsbus.Group) bool { return topic != "" && bus.LogicalTopic(g.Topic) != topic })
	return store, found, nil
}

// isPaused reports whether there is a pause of a topic itself, in the group or on the server.
func (f *foundGroup) isPaused(pauses []group.Paused, topic string) bool {
	return slices.ContainsFunc(pauses, func(p group.Paused) bool { return p.Topic == topic }) ||
		slices.ContainsFunc(f.consumers, func(g natsbus.Group) bool { return g.PausedFor > 0 })
}

// hasOutbox reports whether a member publishes from an outbox.
func (f *foundGroup) hasOutbox() bool {
	return slices.ContainsFunc(f.members, func(m group.Member) bool {
		return slices.ContainsFunc(m.Subscriptions, func(s group.Subscription) bool { return s.Topic == group.Outbox })
	})
}

// topics are those that the group is subscribed to, once each.
func (f *foundGroup) topics() (topics []string) {
	for _, g := range f.consumers {
		topics = append(topics, bus.LogicalTopic(g.Topic))
	}
	for _, m := range f.members {
		for _, s := range m.Subscriptions {
			if !strings.HasPrefix(s.Topic, "$") {
				topics = append(topics, s.Topic)
			}
		}
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// warnOfLongPause tells of subscriptions whose marks expire while they are paused for so long.
func (f *foundGroup) warnOfLongPause(r group.Request) (warnings []string) {
	told := make(map[string]bool)
	for _, m := range f.members {
		for _, s := range m.Subscriptions {
			ttl := time.Duration(s.TTLSeconds * float64(time.Second))
			if ttl == 0 || r.For <= ttl/2 || told[s.Topic] || r.Topic != "" && r.Topic != s.Topic {
				continue
			}
			told[s.Topic] = true
			warnings = append(warnings, fmt.Sprintf("the pause is longer than half of the %v for which marks of %q are kept: events that are redelivered after that may run again",
				ttl, s.Topic))
		}
	}
	return warnings
}

// pauseConsumers shows a pause on the server. A pause that holds no longer is not left there.
func (c *Connections) pauseConsumers(ctx context.Context, store group.Store, name string, found *foundGroup, r *group.Result) error {
	until := r.Until
	if until.IsZero() {
		until = time.Now().Add(longestServerPause)
	}
	var failed error
	for _, g := range found.consumers {
		failed = errors.Join(failed, found.bus.PauseGroup(ctx, g, until))
	}
	if pauses, err := group.Pauses(ctx, store, name); err != nil || slices.ContainsFunc(pauses, func(p group.Paused) bool { return p.Revision == r.Revision }) {
		return errors.Join(failed, err)
	}
	for _, g := range found.consumers {
		failed = errors.Join(failed, found.bus.ResumeGroup(ctx, g))
	}
	return failed
}
