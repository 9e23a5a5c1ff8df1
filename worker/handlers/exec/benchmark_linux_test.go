package exec

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// BenchmarkStream: one command for all events, against a process for each, through the same
// subscription on JetStream with the key-value store: the same program, and the cheapest that
// reads its event.
func BenchmarkStream(b *testing.B) {
	const streamed, executed, payload = 40_000, 1_000, 256
	nc := natstest.Start(b, nil).Connect(b)
	nb, err := natsbus.New(nc, nil)
	must(b, err)
	b.Cleanup(nb.Close)
	store, err := kvdedupe.New(b.Context(), nc, nil)
	must(b, err)
	defer func() { must(b, store.Close()) }()
	must(b, nb.Provision(b.Context(), "dead.g"))
	round := 0
	handle := func(events int, h consumer.Handler) time.Duration {
		round++
		topic := fmt.Sprintf("t%d", round)
		must(b, nb.Provision(b.Context(), topic))
		es := make([]bus.Event, events)
		data := fmt.Appendf(nil, "{\"text\":\"%0*d\"}", payload-11, 0)
		for i := range es {
			es[i] = bus.Event{ID: fmt.Sprintf("0192f3a1-7c1e-7000-8000-%012d", i), Topic: topic, Data: data}
		}
		_, err := nb.Publish(b.Context(), es...)
		must(b, err)
		end := &ending{handled: map[string]int{}, failed: map[string]int{}, dead: map[string]int{}, over: make(chan struct{}), want: events}
		start := time.Now()
		sub, err := consumer.SubscribeExactlyOnce(b.Context(), nb, topic, "g", store, h,
			&consumer.Options{Observer: end, Logger: slog.New(slog.DiscardHandler)})
		must(b, err)
		<-end.over
		took := time.Since(start)
		must(b, sub.Drain(context.Background()))
		if len(end.handled) != events || len(end.failed) > 0 {
			b.Errorf("handled %d of %d events, %d failed", len(end.handled), events, len(end.failed))
		}
		return took
	}
	guard := []string{os.Args[0], "guard"}
	s, err := NewStream("g", "exec '"+os.Args[0]+"' fast", &Options{Guard: guard, Env: os.Environ()})
	must(b, err)
	defer func() { must(b, s.Close()) }()
	exec := func(line string) *Handler {
		x, err := New("g", line, &Options{Guard: guard, Env: os.Environ()})
		must(b, err)
		b.Cleanup(func() { must(b, x.Close()) })
		return x
	}
	same, cat := exec("exec '"+os.Args[0]+"' fast >/dev/null"), exec("exec cat >/dev/null")
	var took [3]time.Duration
	rounds := 0
	for b.Loop() {
		took[0] += handle(streamed, s.Handle)
		took[1] += handle(executed, same.Handle)
		took[2] += handle(executed, cat.Handle)
		rounds++
	}
	rate := func(i, events int) float64 { return float64(rounds*events) / took[i].Seconds() }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate(0, streamed), "events/s")
	b.ReportMetric(rate(1, executed), "processes/s")
	b.ReportMetric(rate(0, streamed)/rate(1, executed), "x-of-processes")
	b.ReportMetric(rate(2, executed), "cat-processes/s")
	b.ReportMetric(rate(0, streamed)/rate(2, executed), "x-of-cat-processes")
}
