package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
)

// standstillPatience is how long nothing may happen before it is asked why. A stream without a
// leader looks like a missing one: it must be missing for that long twice.
const standstillPatience = 10 * time.Second

// standstillDetector finds out that a worker which runs until all is empty waits for streams that
// are not there, and so for ever.
type standstillDetector struct {
	bus      bus.Bus
	subs     []runningSubscription
	drainers []*drainerRun

	lastDone uint64 // what was done when it was last looked at
	since    time.Time
	missing  []string // topics that had no stream when they were last asked for
}

// checkStandstill returns an error when all that is left waits for missing streams.
func (s *standstillDetector) checkStandstill(ctx context.Context) error {
	done, running := countEnded(s.subs), uint64(0)
	for _, sub := range s.subs {
		running += sub.sub.Stats().Running
	}
	for _, d := range s.drainers {
		n := d.Stats()
		done += n.Sent + n.Duplicates + n.Refused + n.Dead
	}
	now := time.Now()
	if s.since.IsZero() || done != s.lastDone || running > 0 {
		s.lastDone, s.since, s.missing = done, now, nil
		return nil
	}
	if now.Sub(s.since) < standstillPatience {
		return nil
	}
	s.since = now
	missing := s.missingTopics(ctx)
	if before := s.missing; len(missing) == 0 || !slices.Equal(missing, before) {
		s.missing = missing
		return nil
	}
	err := fmt.Errorf("%w: what is left waits for streams that are not there, of the topics %s: "+
		"make them, or with --provision have them made", ErrUndone, strings.Join(missing, ", "))
	if given := givenUp(s.subs, s.drainers); given != "" {
		return fmt.Errorf("%w; %s", err, given)
	}
	return err
}

// missingTopics are those without a stream that all which is left waits for; none if some of it
// waits for something else.
func (s *standstillDetector) missingTopics(ctx context.Context) []string {
	missing := make(map[string]bool)
	for _, sub := range s.subs {
		if sub.isEmpty(ctx) {
			continue
		}
		switch {
		case s.streamMissing(ctx, sub.topic):
			missing[sub.topic] = true
		case s.streamMissing(ctx, sub.deadLetter):
			missing[sub.deadLetter] = true
		default:
			return nil
		}
	}
	for _, d := range s.drainers {
		if d.isEmpty(ctx) {
			continue
		}
		topics, err := d.pendingTopics(ctx)
		if err != nil || len(topics) == 0 {
			return nil
		}
		for topic := range topics {
			if !s.streamMissing(ctx, topic) {
				return nil
			}
			missing[topic] = true
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

func (s *standstillDetector) streamMissing(ctx context.Context, topic string) bool {
	_, err := s.bus.Topic(ctx, topic, "", bus.Start{})
	return errors.Is(err, bus.ErrNoStream)
}

// pageOfTopics bounds what is read of rows of which only the topics are wanted.
const (
	rowsOfTopics  = 500
	bytesOfTopics = 16 << 20
)

// pendingTopics are those of the rows that could be published, now or after a backoff.
func (d *drainerRun) pendingTopics(ctx context.Context) (map[string]bool, error) {
	topics := make(map[string]bool)
	for page, err := range d.pendingPages(ctx, rowsOfTopics, bytesOfTopics) {
		if err != nil {
			return nil, err
		}
		for i := range page.Rows {
			topics[page.Rows[i].Event.Topic] = true
		}
	}
	return topics, nil
}

// undoneError returns an error if something was given up meanwhile.
func undoneError(subs []runningSubscription, drainers []*drainerRun) error {
	if given := givenUp(subs, drainers); given != "" {
		return fmt.Errorf("%w: %s", ErrUndone, given)
	}
	return nil
}

// givenUp says how much was given up. Empty: nothing was.
func givenUp(subs []runningSubscription, drainers []*drainerRun) string {
	var letters, rows uint64
	for _, s := range subs {
		letters += s.sub.Stats().Dead
	}
	for _, d := range drainers {
		rows += d.Stats().Dead
	}
	if letters == 0 && rows == 0 {
		return ""
	}
	return fmt.Sprintf("dead letters: %d, dead rows of outboxes: %d; see what the log says of each",
		letters, rows)
}
