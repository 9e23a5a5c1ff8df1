package jetstream

import (
	"context"
	"log/slog"
	"reflect"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// routeMonitor watches, on behalf of a Source, how events of its topic get into its stream. What
// was so when the Source was opened was accepted then; what changes later is a fault that
// somebody has to see.
type routeMonitor struct {
	mu       sync.Mutex
	config   jetstream.StreamConfig // as it was looked at last
	accepted string                 // what was wrong at first; empty: nothing
	fault    error                  // what became wrong since
	logged   string
}

// recordInitial notes what a stream is like when a Source is opened on it, and warns of what is
// wrong with it.
func (r *routeMonitor) recordInitial(stream *jetstream.StreamInfo, wrong error, log *slog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.config = stream.Config
	if wrong != nil {
		r.accepted = wrong.Error()
		log.Warn("subscribing although the topic's events may not all be found under it, as Options.Stream says so", "reason", wrong)
	}
}

// checkRoute reports why events that this group should receive may go elsewhere, and logs it once.
func (s *Source) checkRoute(ctx context.Context, stream *jetstream.StreamInfo) error {
	fault, changed := s.route.cachedFault(&stream.Config)
	if changed {
		fault = s.route.recordFault(&stream.Config, s.b.routeFault(ctx, &stream.Config, s.spec.filter))
	}
	if fault == nil {
		fault = s.b.otherStreamFault(ctx, &stream.Config, s.spec.filter)
	}
	if s.route.isNewFault(fault) {
		s.b.log.Error("events of the topic do not reach this group", "topic", s.spec.filter, "consumer", s.consumer, "reason", fault)
	}
	return fault
}

// cachedFault returns what is wrong with a configuration that was looked at before.
func (r *routeMonitor) cachedFault(config *jetstream.StreamConfig) (fault error, changed bool) { //nolint:revive // the fault is a result, not a failure
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault, !reflect.DeepEqual(r.config, *config)
}

// recordFault notes what is wrong with a configuration, and returns it unless it was accepted.
func (r *routeMonitor) recordFault(config *jetstream.StreamConfig, fault error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fault != nil && fault.Error() == r.accepted {
		fault = nil
	}
	r.config, r.fault = *config, fault
	return fault
}

// isNewFault reports whether a fault is to be logged: it is not the one that was logged last.
func (r *routeMonitor) isNewFault(fault error) bool {
	text := ""
	if fault != nil {
		text = fault.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.logged
	r.logged = text
	return text != "" && text != was
}
