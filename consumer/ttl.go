package consumer

import (
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
)

// Horizon is how much later than it was marked an event may come again: AckWait + Backoff.Max + RunLimit, as they are in o. A TTL
// below it is refused with ErrUnsafeTTL.
func (o *Options) Horizon() time.Duration { return o.AckWait + o.Backoff.Max + o.RunLimit }

// checkTTL refuses marks that could expire while their event may still come again.
func (o *Options) checkTTL() error {
	if horizon := o.Horizon(); o.TTL < horizon {
		return fmt.Errorf("%w: Options.TTL is %v, but an event may come again up to %v later (AckWait %v + Backoff.Max %v + RunLimit %v): "+
			"raise TTL, lower the others, or set Options.Unsafe", ErrUnsafeTTL, o.TTL, horizon, o.AckWait, o.Backoff.Max, o.RunLimit)
	}
	return nil
}

// warnOfAge tells what marks that expire cannot cover: a stream that keeps events for longer, in a store without watermarks.
func (o *Options) warnOfAge(info bus.TopicInfo) {
	if info.MaxAge == 0 || info.MaxAge > o.TTL {
		o.Logger.Warn("the stream keeps events for longer than marks are kept, and the store keeps no watermark: "+
			"if the group's consumer is lost, events older than the TTL run again", "max_age", info.MaxAge, "ttl", o.TTL)
	}
}
