package consumer

import (
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
)

// Horizon is how long after it was marked an event may be redelivered: AckWait + Backoff.Max +
// RunLimit, as they are in o. A TTL below it is refused with ErrUnsafeTTL.
func (o *Options) Horizon() time.Duration { return o.AckWait + o.Backoff.Max + o.RunLimit }

// checkTTL refuses marks that could expire while their event may still be redelivered, unless
// that is wanted.
func (o *Options) checkTTL() error {
	if horizon := o.Horizon(); o.TTL < horizon && !o.Unsafe {
		return fmt.Errorf("%w: Options.TTL is %v, but an event may be redelivered up to %v later (Options.AckWait %v + Options.Backoff.Max %v + Options.RunLimit %v): "+
			"raise Options.TTL, lower the others, or set Options.Unsafe", ErrUnsafeTTL, o.TTL, horizon, o.AckWait, o.Backoff.Max, o.RunLimit)
	}
	return nil
}

// maxRetryTime is how long it may take to dead-letter an event: each attempt but the last waits for
// its backoff.
func (o *Options) maxRetryTime() time.Duration {
	total, wait := time.Duration(0), o.Backoff.Base
	for range o.MaxAttempts - 1 {
		total += min(wait, o.Backoff.Max)
		if total > 365*24*time.Hour {
			break // longer than anybody keeps a stream for its retries
		}
		wait = min(2*wait, o.Backoff.Max)
	}
	return total + o.RunLimit
}

// warnOfStreamLimits warns of limits by which the stream drops events whether they were
// handled or not.
func (o *Options) warnOfStreamLimits(topic string, info bus.TopicInfo) {
	var attrs []any
	for _, l := range []struct {
		name  string
		value int64
	}{{"max_events", info.Limits.Events}, {"max_bytes", info.Limits.Bytes}, {"max_events_per_topic", info.Limits.EventsPerTopic}} {
		if l.value > 0 {
			attrs = append(attrs, l.name, l.value)
		}
	}
	if info.Limits.EventTTL {
		attrs = append(attrs, "event_ttl", true)
	}
	if retries := o.maxRetryTime(); info.MaxAge > 0 && info.MaxAge < retries {
		attrs = append(attrs, "max_age", info.MaxAge, "retries_take_up_to", retries)
	}
	if len(attrs) > 0 {
		o.Logger.Warn("the stream has limits by which it drops events that are not handled yet; raise them, or have it refuse new events",
			append([]any{"topic", topic, "stream", info.Start.Stream}, attrs...)...)
	}
}

// warnOfUncoveredAge warns of a stream that keeps events for longer than marks are kept, in a store
// without watermarks.
func (o *Options) warnOfUncoveredAge(info bus.TopicInfo) {
	if info.MaxAge == 0 || info.MaxAge > o.TTL {
		o.Logger.Warn("the stream keeps events for longer than marks are kept, and the store keeps no watermark: "+
			"if the group's consumer is lost, events older than the TTL run again", "max_age", info.MaxAge, "ttl", o.TTL)
	}
}
