package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/flow/breaker"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker/config"
)

// SharedLimit is a limit that all processes share which use its name: in MongoDB where marks are
// kept there, else in a key-value bucket of NATS. Where SharedOptions.Members is nil, it is how
// many processes of the group are alive.
func (w *Worker) SharedLimit(ctx context.Context, name string, r flow.Rate, o *flow.SharedOptions) (*flow.Shared, error) {
	store, err := w.conns.limitStore(ctx)
	if err != nil {
		return nil, err
	}
	out := *cmp.Or(o, &flow.SharedOptions{})
	out.Logger, out.Timeout = cmp.Or(out.Logger, w.o.Logger), cmp.Or(out.Timeout, limitTimeout)
	if out.Members == nil {
		out.Members = w.memberCount
	}
	return flow.NewShared(store, name, r, &out)
}

// limitTimeout is how long a store of limits may take on a busy machine. It leaves room for a limit
// to fail open within 100 ms.
const limitTimeout = 80 * time.Millisecond

// memberCount is how many members of the group were alive lately; 1 before Run.
func (w *Worker) memberCount() int {
	m := w.member.Load()
	if m == nil {
		return 1
	}
	return int(m.members.Load())
}

// GroupBreaker is a breaker for the subscription to a topic, for its Options.Gates. When it opens
// in one process of the group it opens in all of them, and one at a time probes the receiver.
// Failures are counted in each process, those for which consumer.BlamesReceiver reports true and
// several of one event once, unless the options say otherwise. It is closed when Run ends. Before
// Run it is open for nobody else.
func (w *Worker) GroupBreaker(topic string, o *breaker.Options) (*breaker.Breaker, error) {
	b := &groupBreaker{worker: w, topic: topic}
	out := *cmp.Or(o, &breaker.Options{})
	out.Shared = b
	var err error
	if b.breaker, err = w.newBreaker(&out); err != nil {
		return nil, err
	}
	if w.breakers == nil {
		w.breakers = make(map[string]*groupBreaker)
	}
	w.breakers[topic] = b
	return b.breaker, nil
}

// newBreaker makes a breaker that counts what consumers run, and closes it when Run ends.
func (w *Worker) newBreaker(o *breaker.Options) (*breaker.Breaker, error) {
	o.Logger = cmp.Or(o.Logger, w.o.Logger)
	if o.IsFailure == nil {
		o.IsFailure = consumer.BlamesReceiver
	}
	if o.KeyOf == nil {
		o.KeyOf = func(ctx context.Context) string { return consumer.AttemptFrom(ctx).Key.String() }
	}
	b, err := breaker.New(o)
	if err != nil {
		return nil, err
	}
	w.Defer(func() error {
		b.Close()
		return nil
	})
	return b, nil
}

// groupBreaker shares a breaker with the group, by a pause of a scope of its own. An operator's
// pause is another one, and neither ends the other.
type groupBreaker struct {
	worker   *Worker
	breaker  *breaker.Breaker
	topic    string
	followed uint64 // revision of the last pause; guarded by the membership
}

var _ breaker.Shared = (*groupBreaker)(nil)

// breakerScope begins the topics of the pauses that breakers make. No event can have it.
const breakerScope = "$breaker."

// openedBy is who a pause of a breaker is by, in this process. While the worker joins its group
// none is by it.
func (b *groupBreaker) openedBy() string {
	m := b.worker.member.Load()
	if m == nil {
		return ""
	}
	return "breaker of " + m.session.Status().ID
}

var errNotJoined = errors.New("the worker is in no group yet: call Run")

// Open implements breaker.Shared.
func (b *groupBreaker) Open(ctx context.Context, d time.Duration, reason string) error {
	m := b.worker.member.Load()
	if m == nil {
		return errNotJoined
	}
	pauses, err := group.Pauses(ctx, m.store, m.group)
	if err != nil {
		return err
	}
	d = max(d, group.MinPause)
	for _, p := range pauses {
		if p.Topic == breakerScope+b.topic && p.Until.Sub(p.Since) >= d {
			return nil // somebody else has just opened it
		}
	}
	_, err = group.Pause(ctx, m.store, m.group, group.Request{Topic: breakerScope + b.topic, For: d, Reason: cutText(reason, group.MaxReason), By: b.openedBy()})
	if errors.Is(err, group.ErrSuperseded) || errors.Is(err, group.ErrUnconfirmed) {
		return nil // it is stored, or somebody else's is
	}
	return err
}

// cutText makes text fit, on one line.
func cutText(text string, most int) string {
	visible := make([]rune, 0, len(text))
	for _, r := range text {
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		visible = append(visible, r)
	}
	for len(string(visible)) > most {
		visible = visible[:len(visible)-1-(len(string(visible))-most)/4]
	}
	return string(visible)
}

// AcquireProbe implements breaker.Shared.
func (b *groupBreaker) AcquireProbe(ctx context.Context) (release func(), ok bool, err error) {
	m := b.worker.member.Load()
	if m == nil {
		return nil, false, errNotJoined
	}
	return m.acquireLease(ctx, "breaker."+b.topic)
}

// follow opens the breaker where another process has opened its own.
func (b *groupBreaker) follow(paused []group.Paused) {
	for _, p := range paused {
		if p.Topic != breakerScope+b.topic || p.Revision == b.followed {
			continue
		}
		if b.followed = p.Revision; p.By != b.openedBy() {
			b.breaker.OpenFor(p.Until.Sub(p.Since), p.Reason+", in another process of the group")
		}
	}
}

// ConfiguredOptions are the options of a subscription that a configuration says, with its limits,
// its breaker and its adaptive concurrency.
func (w *Worker) ConfiguredOptions(ctx context.Context, s *config.Subscription) (*consumer.Options, error) {
	o, err := s.Options()
	if err != nil {
		return nil, err
	}
	return o, w.applyLevers(ctx, s, s.Topic, o)
}

// applyLevers adds what needs connections, or ends with the worker.
func (w *Worker) applyLevers(ctx context.Context, s *config.Subscription, topic string, o *consumer.Options) (err error) {
	if s.Rate != nil && s.Rate.Shared {
		o.Limit, err = w.SharedLimit(ctx, limitName(w.group, topic), s.Rate.FlowRate(),
			&flow.SharedOptions{OnOutage: s.Rate.OnOutage, MaxKeys: s.Rate.MaxKeys})
		if err != nil {
			return fmt.Errorf("the shared rate of %q: %w", topic, err)
		}
	}
	if s.Breaker != nil {
		if err := w.addBreaker(s.Breaker, topic, o); err != nil {
			return fmt.Errorf("the breaker of %q: %w", topic, err)
		}
	}
	if s.Concurrency.IsAuto() {
		adaptive, err := breaker.NewAdaptiveLimit(s.Concurrency.Max, &breaker.AdaptiveOptions{Min: s.Concurrency.Min})
		if err != nil {
			return fmt.Errorf("the concurrency of %q: %w", topic, err)
		}
		o.Gates = append(o.Gates, adaptive)
	}
	if h := s.Handler.HTTP; h != nil && h.PerHost != nil {
		return w.addHostLimit(h, o)
	}
	return nil
}

func (w *Worker) addBreaker(c *config.Breaker, topic string, o *consumer.Options) error {
	options := &breaker.Options{Failures: c.Failures, Over: c.Over, Wait: c.Wait, RampTo: o.Concurrency}
	newBreaker := w.newBreaker
	if c.Scope == config.ScopeGroup {
		newBreaker = func(o *breaker.Options) (*breaker.Breaker, error) { return w.GroupBreaker(topic, o) }
	}
	b, err := newBreaker(options)
	if err == nil {
		o.Gates = append(o.Gates, b)
	}
	return err
}
