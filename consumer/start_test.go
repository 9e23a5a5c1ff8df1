package consumer_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// Where a group starts is decided once: that a start has no effect on a group which is known is
// said, and so is how much there is to do.
func TestStartOfAKnownGroupIsSaidToHaveNoEffect(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("1"), order("2"))
		for _, c := range []struct {
			from       bus.Start
			want, omit string
		}{
			{bus.Start{Latest: true}, "the group is new on this topic", "start is for new groups"},
			{bus.Start{Latest: true}, "start is for new groups alone", "is new on"},
			{bus.Start{}, "", "start is for new groups"},
		} {
			var log bytes.Buffer
			s := w.subscribe(nothing, &consumer.Options{From: c.from, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			synctest.Wait()
			w.drain(s)
			if said := log.String(); !strings.Contains(said, c.want) || strings.Contains(said, c.omit) {
				t.Errorf("%+v: want %q and not %q:\n%s", c.from, c.want, c.omit, said)
			}
		}
		if w.starts() != 0 {
			t.Errorf("%d runs of a group that started at the end", w.starts())
		}
	})
}
