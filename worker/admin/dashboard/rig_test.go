package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/admin"
)

const token = "correct-horse-battery-staple"

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// rig is an API over a NATS server of its own.
type rig struct {
	conns *worker.Connections
	api   *admin.API
	url   string
}

// rigOptions say how an API is served.
type rigOptions struct {
	admin.Options

	store  string // where marks are; empty: in NATS
	prefix string
	around func(http.Handler) http.Handler // stands before the API
}

// newRig serves the dashboard until the test ends.
func newRig(tb testing.TB, o rigOptions) *rig {
	tb.Helper()
	startBrowser(tb) // without one nothing else is started
	co := worker.ConnectOptions{NATS: natstest.Start(tb, nil).URL(), Store: o.store, Provision: true, Logger: slog.New(slog.DiscardHandler)}
	c, err := worker.Connect(tb.Context(), &co)
	must(tb, err)
	tb.Cleanup(func() { must(tb, c.Close()) })
	r := &rig{conns: c}
	o.Logger, o.Group = slog.New(slog.DiscardHandler), "billing"
	r.api, err = admin.New(c, &o.Options)
	must(tb, err)
	handler := r.api.Handler(o.prefix)
	if o.around != nil {
		handler = o.around(handler)
	}
	server := httptest.NewServer(handler)
	r.url = server.URL + o.prefix + "/"
	tb.Cleanup(func() {
		r.api.EndStreams()
		server.CloseClientConnections()
		server.Close()
		must(tb, r.api.Close(context.Background()))
	})
	r.makeStreams(tb)
	return r
}

// makeStreams makes the streams of the topics "order.>" and "dead.>".
func (r *rig) makeStreams(tb testing.TB) {
	tb.Helper()
	js, err := r.conns.JetStream()
	must(tb, err)
	for stream, subject := range map[string]string{"ORDERS": "order.>", "DEAD": "dead.>"} {
		_, err := js.CreateOrUpdateStream(tb.Context(), jetstream.StreamConfig{Name: stream, Subjects: []string{subject}})
		must(tb, err)
	}
}

// startWorker runs the group "billing" on topics. It gives up events whose ids begin with "bad",
// with an error of a few. It has drained when the test ends.
func (r *rig) startWorker(tb testing.TB, topics ...string) {
	tb.Helper()
	started := make(chan struct{})
	w, err := worker.New("billing", r.conns, &worker.Options{Logger: slog.New(slog.DiscardHandler), Started: func() { close(started) }})
	must(tb, err)
	for _, topic := range topics {
		w.Handle(topic, func(_ context.Context, e bus.Event) error {
			if strings.HasPrefix(e.ID, "bad") {
				return consumer.Permanent(fmt.Errorf("no rate for %s", e.ID))
			}
			return nil
		}, nil)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		must(tb, <-ended)
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- nil
		tb.Fatal("the worker has ended:", err)
	}
}

// publish stores events of a topic.
func (r *rig) publish(tb testing.TB, topic string, ids ...string) {
	tb.Helper()
	for _, id := range ids {
		e := bus.Event{ID: id, Topic: topic, Type: "placed", ContentType: "application/json", Data: fmt.Appendf(nil, `{"order":%q,"cents":1250}`, id)}
		_, err := r.conns.Bus().Publish(tb.Context(), e)
		must(tb, err)
	}
}

// publishLetters stores letters of the events from … to, as a consumer does.
func (r *rig) publishLetters(tb testing.TB, from, to int, letter func(i int) (id, reason string)) {
	tb.Helper()
	var batch []bus.Event
	for i := from; i <= to; i++ {
		id, reason := letter(i)
		if batch = append(batch, storedLetter(i, id, reason)); len(batch) == 1000 || i == to {
			_, err := r.conns.Bus().Publish(tb.Context(), batch...)
			must(tb, err)
			batch = nil
		}
	}
}

// plainLetter is an id and an error of a few.
func plainLetter(i int) (id, reason string) {
	errs := []string{"no rate for the currency XTS", "refused with status 503", "the order has no lines", "context deadline exceeded"}
	return fmt.Sprintf("order-%06d", i), errs[i*i%11%len(errs)]
}

func storedLetter(i int, id, reason string) bus.Event {
	e := bus.Event{
		ID: fmt.Sprintf("billing/orders@1/%d/1", i), Topic: "dead.billing", Data: fmt.Appendf(nil, `{"order":%q,"cents":%d,"lines":[]}`, id, i),
		ContentType: "application/json", Headers: bus.Headers{},
	}
	died := time.Now().Add(-3 * time.Hour).Add(time.Duration(i%10_000) * time.Second).UTC().Format(time.RFC3339)
	for name, value := range map[string]string{
		"Letter": e.ID, "Group": "billing", "Topic": "order.placed", "Id": id, "Source": "", "Type": "placed", "Stream": "orders@1", "Sequence": fmt.Sprint(i),
		"Stored": died, "Attempts": "10", "Crashes": "0", "Claimed": died, "Died": died, "Reason": "failed 10 times: " + reason, "Error": reason,
		"Stack": "", "Parts": "0", "Digest": "",
	} {
		e.Headers.Set("Onceish-Dead-"+name, url.PathEscape(value))
	}
	return e.WithControl(bus.Control{Letter: e.ID})
}

// joinMembers stores the rows of processes of a group, as they do themselves. They last 30 s.
func (r *rig) joinMembers(tb testing.TB, name string, n int, change func(*group.Member)) {
	tb.Helper()
	store, err := r.conns.GroupStore(tb.Context())
	must(tb, err)
	for i := range n {
		m := newMember(i)
		if change != nil {
			change(&m)
		}
		row, err := json.Marshal(&m)
		must(tb, err)
		_, err = store.Put(tb.Context(), group.MemberRows, name, m.ID, row, group.AnyRevision)
		must(tb, err)
	}
}

// newMember is a process that is like others, but for a few that are held back.
func newMember(i int) group.Member {
	m := group.Member{
		ID: fmt.Sprintf("member%04d", i), Host: fmt.Sprintf("billing-7d9f-%03d", i), PID: 1, Version: "v1.4.2", State: group.Running,
		Started: time.Now().Add(-time.Duration(i*i%5000) * time.Minute).UTC(), Applied: group.Applied{},
	}
	for j, topic := range []string{"order.placed", "order.cancelled", "order.refunded"} {
		s := group.Subscription{Topic: topic, State: "running", Rate: float64(40 + (i*7+j*13)%25), InFlight: (i + j) % 9, Concurrency: 16, Lag: 120}
		if i%97 == 5 && j == 1 {
			s.State, s.Why, s.Rate = "unavailable", "the receiver, since "+time.Now().Add(-12*time.Minute).UTC().Format(time.RFC3339)+": connection refused", 0
		}
		m.Subscriptions = append(m.Subscriptions, s)
	}
	return m
}
