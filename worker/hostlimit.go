package worker

import (
	"fmt"
	"log/slog"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/flow/breaker"
	"github.com/onceish/onceish/worker/config"
)

// hostLimit bounds what this process posts to one host. All subscriptions that post there share it.
type hostLimit struct {
	host  string
	gate  flow.Gate    // nil: as many as there are may run at once
	limit flow.Limiter // nil: they start when they like
}

// hostGate is a gate that lets a fixed number in at once, first come, first served: an adaptive
// limit whose bounds are the same.
type hostGate struct {
	*breaker.AdaptiveLimit

	reason string
}

var _ flow.AdaptiveGate = (*hostGate)(nil)

// Capacity implements flow.AdaptiveGate.
func (g *hostGate) Capacity() (c flow.Capacity, changed <-chan struct{}) {
	c, changed = g.AdaptiveLimit.Capacity()
	c.Reason = g.reason
	return c, changed
}

func newHostLimit(host string, p *config.PerHost) (*hostLimit, error) {
	h := &hostLimit{host: host}
	if n := p.Concurrency; n > 0 {
		fixed, err := breaker.NewAdaptiveLimit(n, &breaker.AdaptiveOptions{Min: n, Logger: slog.New(slog.DiscardHandler)}) // it never moves
		if err != nil {
			return nil, err
		}
		h.gate = &hostGate{AdaptiveLimit: fixed, reason: "to " + host + ", over all subscriptions of this process"}
	}
	if rate, ok := p.FlowRate(); ok {
		limit, err := flow.NewLocal(rate, nil)
		if err != nil {
			return nil, err
		}
		h.limit = limit
	}
	return h, nil
}

// addHostLimit adds the limits of the host that a subscription posts to.
func (w *Worker) addHostLimit(h *config.HTTPHandler, o *consumer.Options) (err error) {
	host := h.Host()
	limit := w.hosts[host]
	if limit == nil {
		if limit, err = newHostLimit(host, h.PerHost); err != nil {
			return fmt.Errorf("the limits of host %s: %w", host, err)
		}
		if w.hosts == nil {
			w.hosts = make(map[string]*hostLimit)
		}
		w.hosts[host] = limit
	}
	limit.apply(o)
	return nil
}

// apply makes the subscription of these options pass the limits of the host. The gate is the last
// one: what waits at another one takes no other subscription's turn.
func (h *hostLimit) apply(o *consumer.Options) {
	if h.gate != nil {
		o.Gates = append(o.Gates, h.gate)
		if o.Limit != nil && o.LimitQueue == 0 {
			o.LimitQueue = 1 // what waits for a rate of its own is behind the gate already
		}
	}
	if h.limit != nil {
		o.Limit, o.LimitKey, o.LimitQueue = h.limit, func(bus.Event) string { return h.host }, o.Concurrency
	}
}
