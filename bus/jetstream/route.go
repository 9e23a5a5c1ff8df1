package jetstream

import (
	"context"
	"log/slog"
	"reflect"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"
)

// routeMonitor watches, on behalf of a Source, how events of its topic get into its stream. What
// was so when the Source was opened was accepted then; what changes later is a fault that
// somebody has to see.
type routeMonitor struct {
	accepted string // what was wrong at first; empty: nothing
	last     atomic.Pointer[routeCheck]
	logged   atomic.Value // string: the fault that was logged last
}

// routeCheck is what was found of a stream's configuration.
type routeCheck struct {
	config jetstream.StreamConfig
	fault  error // what became wrong since the Source was opened
}

// recordInitial notes what a stream is like when a Source is opened on it, and warns of what is
// wrong with it.
func (r *routeMonitor) recordInitial(stream *jetstream.StreamInfo, wrong error, log *slog.Logger) {
	r.last.Store(&routeCheck{config: stream.Config})
	if wrong != nil {
		r.accepted = wrong.Error()
		log.Warn("subscribing although the topic's events may not all be found under it, as Options.Stream says so", "reason", wrong)
	}
}

// checkRoute reports why events that this group should receive may go elsewhere, and logs it once.
func (s *Source) checkRoute(ctx context.Context, stream *jetstream.StreamInfo) error {
	check := s.route.last.Load()
	if !reflect.DeepEqual(check.config, stream.Config) {
		check = &routeCheck{stream.Config, s.b.routeFault(ctx, &stream.Config, s.spec.topic)}
		if check.fault != nil && check.fault.Error() == s.route.accepted {
			check.fault = nil
		}
		s.route.last.Store(check)
	}
	fault, text := check.fault, ""
	if fault == nil {
		fault = s.b.otherStreamFault(ctx, &stream.Config, s.spec.topic)
	}
	if fault != nil {
		text = fault.Error()
	}
	if s.route.logged.Swap(text) != text && fault != nil {
		s.b.log.Error("events of the topic do not reach this group", "topic", s.spec.topic, "consumer", s.consumer, "reason", fault)
	}
	return fault
}
