package replay_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/replay"
)

// On JetStream a group handles what is replayed to it once, and once more in each scope; what
// cannot be read as an event is reported, and everything behind it is replayed.
func TestReplayOnJetStream(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	js, err := jetstream.New(nc)
	must(t, err)
	for name, subject := range map[string]string{"ORDERS": "orders.>", "DEAD": "dead.>"} {
		_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}})
		must(t, err)
	}
	b, err := natsbus.New(nc, &natsbus.Options{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(b.Close)
	const events = 700 // more than a batch
	publish(t, b, numbered(events/2)...)
	_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: "orders.new", Data: []byte("no event"), Header: nats.Header{"Content-Type": {"application/cloudevents+json"}}})
	must(t, err)
	publish(t, b, numbered(events)[events/2:]...)

	store, err := memdedupe.New(nil)
	must(t, err)
	var mu sync.Mutex
	runs, runsOf := 0, map[string]int{}
	ran := sync.NewCond(&mu)
	subscription, err := consumer.SubscribeExactlyOnce(t.Context(), b, topic, "late", store, func(_ context.Context, e bus.Event) error {
		mu.Lock()
		defer mu.Unlock()
		runs++
		runsOf[e.ID]++
		ran.Broadcast()
		return nil
	}, &consumer.Options{From: bus.Start{Latest: true}, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	wantRuns := func(n int) {
		t.Helper()
		watch := time.AfterFunc(time.Minute, func() { t.Error("the group does not run what was replayed"); ran.Broadcast() })
		defer watch.Stop()
		mu.Lock()
		defer mu.Unlock()
		for runs < n && !t.Failed() {
			ran.Wait()
		}
	}
	for i, scope := range []string{"", "", "fix", "fix"} {
		before, err := replay.PreviewGroup(t.Context(), b, store, topic, bus.Range{}, "late", &replay.PreviewOptions{Again: scope})
		must(t, err)
		if want := (i%2 == 0); before.Events != events || (before.WouldRun == events) != want || (before.Done == events) == want || before.LeftOut.Malformed != 1 {
			t.Errorf("scope %q, replay %d: preview %+v", scope, i, before)
		}
		var failed []uint64
		n, err := replay.ToGroup(t.Context(), b, topic, bus.Range{}, "late", &replay.Options{Again: scope, Failed: func(at bus.Position, _ error) { failed = append(failed, at.Sequence) }})
		must(t, err)
		if n.Stored != events || n.LeftOut != (replay.LeftOut{Malformed: 1, Copies: i * events}) || len(failed) != 1 || failed[0] != events/2+1 {
			t.Errorf("scope %q, replay %d: %+v, failed %v", scope, i, n, failed)
		}
		wantRuns(events * (i/2 + 1))
		awaitSettled(t, subscription)
	}
	must(t, subscription.Drain(context.Background()))
	for i := range events {
		if n := runsOf[strconv.Itoa(i)]; n != 2 {
			t.Errorf("event %d ran %d times; want at first and in the scope", i, n)
		}
	}
}

// awaitSettled waits until nothing is left to do, for which there is no signal.
func awaitSettled(t *testing.T, s *consumer.Subscription) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		lag, err := s.Lag(t.Context())
		must(t, err)
		if lag.Pending == 0 && lag.Unsettled == 0 {
			return
		}
	}
	t.Fatal("the group does not settle what was replayed")
}

// JetStream answers for a purged event as for one that it has.
func TestAnImportStoresAgainWhatJetStreamHasPurged(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	js, err := jetstream.New(nc)
	must(t, err)
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	must(t, err)
	b, err := natsbus.New(nc, &natsbus.Options{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(b.Close)
	from := newBus(t, 0)
	publish(t, from, numbered(50)...)
	text, _ := export(t, from, bus.Range{})
	for round, want := range []replay.Imported{{Stored: 50}, {Stored: 50, Duplicates: 20}, {Stored: 50}} {
		if n, err := replay.Import(t.Context(), b, strings.NewReader(text), nil); err != nil || n != want {
			t.Errorf("imported %+v, %v; want %+v", n, err, want)
		}
		info, err := stream.Info(t.Context())
		must(t, err)
		if info.State.Msgs != 50 {
			t.Errorf("%d events are stored; want 50", info.State.Msgs)
		}
		if round == 0 {
			must(t, stream.Purge(t.Context(), jetstream.WithPurgeSequence(31)))
		} else {
			must(t, stream.Purge(t.Context()))
		}
	}
}
