package deferral_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/deferral"
)

// describedBus describes its topics in another way.
type describedBus struct {
	*membus.Bus

	change func(*bus.TopicInfo)
}

func (b describedBus) Topic(ctx context.Context, topic, group string, from bus.Start) (bus.TopicInfo, error) {
	info, err := b.Bus.Topic(ctx, topic, group, from)
	b.change(&info)
	return info, err
}

// Open warns of a stream that may delete what waits, and of one that will take nothing any more.
func TestOpenWarnsOfBoundedStreams(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*bus.TopicInfo)
		says   string // empty: nothing
	}{
		"unbounded":                        {func(*bus.TopicInfo) {}, ""},
		"deletes the oldest":               {func(i *bus.TopicInfo) { i.Limits.Events = 50 }, "deletes the oldest ones, summed up or not"},
		"refuses new ones":                 {func(i *bus.TopicInfo) { i.RefusesWhenFull = true }, "nothing can be deferred any more"},
		"refuses new ones, with a max age": {func(i *bus.TopicInfo) { i.RefusesWhenFull, i.MaxAge = true, time.Hour }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var log bytes.Buffer
			_, err := deferral.Open(t.Context(), describedBus{w.bus, c.change}, w.store, "billing", perMinute(1), w.sum,
				&deferral.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			must(t, err)
			if got := log.String(); c.says == "" && got != "" || !strings.Contains(got, c.says) {
				t.Errorf("the log has %q, want %q", got, c.says)
			}
		})
	}
}
