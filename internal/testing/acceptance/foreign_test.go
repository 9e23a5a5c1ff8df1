package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestMessagesOfOtherClients: plain ones with and without an id, CloudEvents in both modes,
// published again once the stream has forgotten them. Each has its effect once, but for those that
// bring no id, which are new every time. Trace context comes through.
func TestMessagesOfOtherClients(t *testing.T) {
	t.Parallel()
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	structured := map[string]any{
		"specversion": "1.0", "id": "structured", "source": "/shop", "type": "order", "datacontenttype": "application/json",
		"data": map[string]int{"cents": 5},
	}
	body, err := json.Marshal(structured)
	must(t, err)
	for _, c := range []struct {
		name    string
		data    string
		headers nats.Header
		id      string
		effects int // of three copies
		traced  bool
	}{
		{"plain without an id", `{}`, nil, "", 3, false},
		{"plain with an id", `{}`, nats.Header{"Nats-Msg-Id": {"plain"}, "traceparent": {trace}}, "plain", 1, true},
		{"binary", `{"cents":5}`, nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {"binary"}, "ce-source": {"/shop"}, "ce-type": {"order"}, "Traceparent": {trace},
		}, "binary", 1, true},
		{"binary in other letters", `{"cents":5}`, nats.Header{
			"Ce-Specversion": {"1.0"}, "CE-ID": {"loud"}, "Ce-Source": {"/shop"}, "ce-Type": {"order"}, "TRACEPARENT": {trace},
		}, "loud", 1, true},
		{"binary with an id of NATS's beside", `{}`, nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {"both"}, "ce-source": {"/shop"}, "ce-type": {"order"}, "Nats-Msg-Id": {"other"},
		}, "both", 1, false},
		{"structured", string(body), nats.Header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}, "traceparent": {trace}}, "structured", 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onStoresOf(t, brief, func(r *rig) {
				handler := func(_ context.Context, e bus.Event) error {
					if c.traced && e.Headers.Get("traceparent") != trace {
						r.ledger.say("lost trace", "local", e.ID)
					}
					r.ledger.say("effect", "local", e.ID)
					return nil
				}
				s := r.subscribe(setup{Handler: handler, Options: longLeases})
				for i := range 3 {
					r.raw(&nats.Msg{Subject: "order.placed", Header: c.headers, Data: []byte(c.data)})
					if i == 1 {
						r.settled() // the third comes after the effect
					}
				}
				r.settled()
				r.ended(s)
				if n := r.ledger.count("effect", "", c.id); n != c.effects {
					r.t.Errorf("%d effects, want %d", n, c.effects)
				}
				if n := r.ledger.count("lost trace", "", ""); n > 0 {
					r.t.Error("the trace context was lost")
				}
				if ls := r.letters(); len(ls) > 0 {
					r.t.Errorf("letters %v", ls)
				}
			})
		})
	}
}

// TestOneCloudEventInBothModes is one event.
func TestOneCloudEventInBothModes(t *testing.T) {
	t.Parallel()
	r := brief(t)
	s := r.subscribe(setup{Options: longLeases, Handler: func(_ context.Context, e bus.Event) error {
		r.ledger.say("effect", "local", fmt.Sprintf("%s %s %s", e.Source, e.ID, e.Data))
		return nil
	}})
	r.raw(&nats.Msg{Subject: "order.placed", Data: []byte(`{"cents":5}`), Header: nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/shop"}, "ce-type": {"order"},
	}})
	r.raw(&nats.Msg{
		Subject: "order.placed", Data: []byte(`{"specversion":"1.0","id":"1","source":"/shop","type":"order","data":{"cents":5}}`),
		Header: nats.Header{"Content-Type": {"application/cloudevents+json"}},
	})
	r.raw(&nats.Msg{Subject: "order.placed", Data: []byte(`{"cents":5}`), Header: nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/elsewhere"}, "ce-type": {"order"},
	}})
	r.settled()
	r.ended(s)
	here, elsewhere := r.ledger.count("effect", "", `/shop 1 {"cents":5}`), r.ledger.count("effect", "", `/elsewhere 1 {"cents":5}`)
	if here != 1 || elsewhere != 1 || r.ledger.count("effect", "", "") != 2 {
		t.Errorf("%d effects of the event, %d of one from another source, %d in all", here, elsewhere, r.ledger.count("effect", "", ""))
	}
}

// brief is a rig whose streams forget message ids after 100 ms.
func brief(t *testing.T) *rig {
	t.Helper()
	server := natstest.Start(t, nil)
	r := rigOn(t, server.URL(), &natsbus.Provision{Duplicates: 100 * time.Millisecond})
	r.server = server
	return r
}

// raw publishes a message until the stream takes it for a new one.
func (r *rig) raw(m *nats.Msg) {
	r.t.Helper()
	r.eventually("the stream has forgotten the message id", func() bool {
		copied := &nats.Msg{Subject: m.Subject, Header: maps.Clone(m.Header), Data: m.Data} // The client adds to the headers.
		ack, err := r.js().PublishMsg(r.t.Context(), copied, jetstream.WithExpectStream(r.stream(m.Subject)))
		must(r.t, err)
		return !ack.Duplicate
	})
}
