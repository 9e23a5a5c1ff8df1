package jetstream

import (
	"context"
	"log/slog"
	"reflect"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// route watches, on behalf of a Source, how events of its topic get into its stream. What was
// so when the Source was opened was accepted then; what changes later is a fault that
// somebody has to see.
type route struct {
	mu       sync.Mutex
	config   jetstream.StreamConfig // as it was looked at last
	accepted string                 // what was wrong at first; empty: nothing
	fault    error                  // what became wrong since
	logged   string
}

// opened notes what a stream is like when a Source is opened on it, and warns of what is
// wrong with it.
func (r *route) opened(stream *jetstream.StreamInfo, wrong error, log *slog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.config = stream.Config
	if wrong != nil {
		r.accepted = wrong.Error()
		log.Warn("subscribing although the topic's events may not all be found under it, as Options.Stream says so", "reason", wrong)
	}
}

// strayed reports why events that this group should receive may go elsewhere, and logs it once.
func (s *Source) strayed(ctx context.Context, stream *jetstream.StreamInfo) error {
	fault, changed := s.route.known(&stream.Config)
	if changed {
		fault = s.route.keep(&stream.Config, s.b.astray(ctx, &stream.Config, s.want.filter))
	}
	if fault == nil {
		fault = s.b.elsewhere(ctx, &stream.Config, s.want.filter)
	}
	if s.route.news(fault) {
		s.b.log.Error("events of the topic do not reach this group", "topic", s.want.filter, "consumer", s.consumer, "reason", fault)
	}
	return fault
}

// known returns what is wrong with a configuration that was looked at before.
func (r *route) known(config *jetstream.StreamConfig) (fault error, changed bool) { //nolint:revive // the fault is a result, not a failure
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault, !reflect.DeepEqual(r.config, *config)
}

// keep notes what is wrong with a configuration, and returns it unless it was accepted.
func (r *route) keep(config *jetstream.StreamConfig, fault error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fault != nil && fault.Error() == r.accepted {
		fault = nil
	}
	r.config, r.fault = *config, fault
	return fault
}

// news reports whether a fault is to be logged: it is not the one that was logged last.
func (r *route) news(fault error) bool {
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
