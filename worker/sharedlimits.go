package worker

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/onceish/onceish/flow"
)

// SharedLimit is the limit of a topic that the processes of a group share, as its store counts it.
type SharedLimit struct {
	Topic string
	// Members is how many live processes of the group are subscribed to the topic, and so share it.
	Members int
	// Keys are those of the page.
	Keys []flow.Usage
}

// SharedLimitQuery says which keys of the shared limits of a group are wanted.
type SharedLimitQuery struct {
	// Topic is that of a subscription, as it is written there. Empty: all of them.
	Topic string
	// After is the Next of the page before. Empty: the first page.
	After string
	// Most is how many keys there are on the page at most, over all topics, 1 to
	// flow.MaxUsagePage. Zero: flow.MaxUsagePage.
	Most int
}

// SharedLimitPage is a page of the shared limits of a group, by topic and key.
type SharedLimitPage struct {
	Limits []SharedLimit
	// Next is what the next page comes after. Empty: this is the last one. Any page may have fewer
	// keys than were asked for, or none.
	Next string
}

// topicsOfPage is how many topics are looked at for a page, for each of them takes a call of the
// store.
const topicsOfPage = 20

// SharedLimits returns what the store of limits counts of the rates that a configuration shares
// over a group. A limit for which nothing has started for long has no keys, and is not listed. It
// changes and makes nothing. Nothing that consumes as the group, or a topic that it is not
// subscribed to, is ErrNoGroup; a query that makes no sense is ErrUsage.
func (c *Connections) SharedLimits(ctx context.Context, name string, q SharedLimitQuery) (*SharedLimitPage, error) {
	if q.Most == 0 {
		q.Most = flow.MaxUsagePage
	}
	if q.Most < 1 || q.Most > flow.MaxUsagePage {
		return nil, fmt.Errorf("%w: a page of %d keys: it must be 1 to %d", ErrUsage, q.Most, flow.MaxUsagePage)
	}
	from, err := parseLimitCursor(q.After)
	if err != nil {
		return nil, err
	}
	_, found, err := c.findGroup(ctx, name, "")
	if err != nil {
		return nil, err
	}
	topics := found.topics()
	if q.Topic != "" {
		if !slices.Contains(topics, q.Topic) {
			return nil, fmt.Errorf("%w: group %q is not subscribed to %q, but to %s", ErrNoGroup, name, q.Topic, strings.Join(topics, ", "))
		}
		topics = []string{q.Topic}
	}
	page := &SharedLimitPage{}
	if !c.hasMongo() && c.nats == nil {
		return page, nil // there is nothing over which a limit is shared
	}
	store, err := c.limitStore(ctx)
	if err != nil {
		return nil, err
	}
	err = page.fill(ctx, store, name, found.membersByTopic(), from.skip(topics), from, q.Most)
	return page, err
}

// fill adds the keys of topics, up to most of them.
func (p *SharedLimitPage) fill(ctx context.Context, store flow.Store, name string, members map[string]int, topics []string, from limitCursor, most int) error {
	for i, topic := range topics {
		if most == 0 || i == topicsOfPage {
			p.Next = limitCursor{topic: topic}.String()
			return nil
		}
		after := ""
		if topic == from.topic {
			after = from.after
		}
		usage, err := flow.ListUsage(ctx, store, limitName(name, topic), after, most)
		if err != nil {
			return fmt.Errorf("the shared limit of group %q on %q: %w", name, topic, err)
		}
		if len(usage.Keys) > 0 {
			p.Limits = append(p.Limits, SharedLimit{topic, members[topic], usage.Keys})
		}
		if usage.Next != "" {
			p.Next = limitCursor{topic, usage.Next}.String()
			return nil
		}
		most -= len(usage.Keys)
	}
	return nil
}

// limitCursor is where a page of shared limits begins: at the keys of a topic after one of them, or
// at its first one.
type limitCursor struct{ topic, after string }

// String is what a page has as its Next.
func (l limitCursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(l.topic + "\x00" + l.after))
}

func parseLimitCursor(text string) (limitCursor, error) {
	if text == "" {
		return limitCursor{}, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	topic, after, ok := strings.Cut(string(decoded), "\x00")
	if err != nil || !ok {
		return limitCursor{}, fmt.Errorf("%w: %.64q is no position in a list of limits: take it from next of the page before", ErrUsage, text)
	}
	return limitCursor{topic, after}, nil
}

// skip returns the topics, which are sorted, without those before the cursor.
func (l limitCursor) skip(topics []string) []string {
	i, _ := slices.BinarySearch(topics, l.topic)
	return topics[i:]
}

// membersByTopic is how many members are subscribed to each topic.
func (f *foundGroup) membersByTopic() map[string]int {
	counts := make(map[string]int)
	for i := range f.members {
		m := &f.members[i]
		for j := range m.Subscriptions {
			counts[m.Subscriptions[j].Topic]++
		}
	}
	return counts
}
