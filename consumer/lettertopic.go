package consumer

import (
	"context"
	"fmt"

	"github.com/onceish/onceish/bus"
)

// minLettersKept is how many letters a stream must be able to keep. One that keeps
// fewer is a cache.
const minLettersKept = 1000

// findLetterTopic returns the dead-letter topic, if dead letters can be kept there.
func findLetterTopic(ctx context.Context, b bus.Bus, topic, group, dead string) (bus.TopicInfo, error) {
	if bus.Match(topic, dead) {
		return bus.TopicInfo{}, fmt.Errorf("%w: the subscription to %q receives %q itself: set Options.DeadLetter (dead_letter, --dead-letter) to a topic outside of it",
			ErrDeadLetterTopic, topic, dead)
	}
	info, err := b.Topic(ctx, dead, group, bus.Start{})
	if err != nil {
		return info, fmt.Errorf("%w: %w", ErrDeadLetterTopic, err)
	}
	err = checkLetterTopic(&info, group, dead)
	return info, err
}

func checkLetterTopic(info *bus.TopicInfo, group, dead string) error {
	if info.ReadOnly {
		return fmt.Errorf("%w: the stream in which %q is found takes nothing that is published to it: make a stream that does, or set Options.DeadLetter (dead_letter, --dead-letter) to another topic",
			ErrDeadLetterTopic, dead)
	}
	if info.WorkQueue || info.Interest {
		return fmt.Errorf("%w: the stream of %q has work-queue or interest retention, which deletes letters as they are read: use one with limits retention",
			ErrDeadLetterTopic, dead)
	}
	for _, limit := range []struct {
		what  string
		value int64
	}{{"events in all", info.Limits.Events}, {"events of a topic", info.Limits.EventsPerTopic}} {
		if limit.value > 0 && limit.value < minLettersKept {
			return fmt.Errorf("%w: the stream of %q keeps %d %s, and deletes letters for newer ones then: raise the limit to %d or more, or have the stream discard new events when it is full",
				ErrDeadLetterTopic, dead, limit.value, limit.what, minLettersKept)
		}
	}
	least := minLetterRoom(group, dead)
	if info.MaxBytes > 0 && info.MaxBytes < least {
		return fmt.Errorf("%w: %q takes events of %d bytes, and a letter of group %.64q may need %d: raise the limit of the stream (max_msg_size), or of the server (max_payload)",
			ErrDeadLetterTopic, dead, info.MaxBytes, group, least)
	}
	if info.MaxHeaderBytes > 0 && info.MaxHeaderBytes < least {
		return fmt.Errorf("%w: the headers of a letter of group %.64q may need %d bytes, and the bus takes %d: choose a shorter name for the group",
			ErrDeadLetterTopic, group, least, info.MaxHeaderBytes)
	}
	return nil
}

// warnOfLetterLimits warns of what makes letters leave before somebody may have read them, or keeps
// them from being stored.
func (o *Options) warnOfLetterLimits(events, letters *bus.TopicInfo) {
	if letters.MaxAge > 0 && (events.MaxAge == 0 || letters.MaxAge < events.MaxAge) {
		o.Logger.Warn("dead letters are deleted sooner than the events themselves: read them in time, or raise max_age of their stream",
			"topic", o.DeadLetter, "letters_kept_for", letters.MaxAge, "events_kept_for", events.MaxAge)
	}
	if letters.RefusesWhenFull {
		o.Logger.Warn("the stream of the dead letters is bounded: when it is full, events that are given up stay unsettled", "topic", o.DeadLetter)
	}
	if l := letters.Limits; l.Events > 0 || l.EventsPerTopic > 0 || l.Bytes > 0 {
		o.Logger.Warn("the stream of the dead letters is bounded: when it is full it deletes the oldest ones",
			"topic", o.DeadLetter, "events", l.Events, "events_per_topic", l.EventsPerTopic, "bytes", l.Bytes)
	}
}
