package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// natsSources are those of a group that stands at the beginning of a topic on JetStream.
func natsSources(t *testing.T) (*explain.Sources, *nats.Conn) {
	t.Helper()
	nc := natstest.Start(t, nil).Connect(t)
	b, err := natsbus.New(nc, &natsbus.Options{Provision: &natsbus.Provision{}})
	must(t, err)
	t.Cleanup(b.Close)
	source, err := b.Subscribe(t.Context(), topic, "billing", nil)
	must(t, err)
	must(t, source.Close(t.Context()))
	return &explain.Sources{Bus: b, Group: explain.Group{Name: "billing", Cursors: []explain.Cursor{{Topic: topic, Pending: 1}}}}, nc
}

// An event whose attributes are in its data is found as well, and so is what lies behind it.
func TestEventsInStructuredModeAreFound(t *testing.T) {
	t.Parallel()
	s, nc := natsSources(t)
	_, err := s.Bus.Publish(t.Context(), order("1"))
	must(t, err)
	structured := nats.NewMsg(topic)
	structured.Header.Set("Content-Type", "application/cloudevents+json")
	structured.Data = []byte(`{"specversion":"1.0","id":"2","source":"urn:shop","type":"placed","data":{}}`)
	_, err = nc.RequestMsg(structured, 10*time.Second)
	must(t, err)
	_, err = s.Bus.Publish(t.Context(), order("1"), order("3"))
	must(t, err)
	for id, sequence := range map[string]uint64{"1": 1, "2": 2, "3": 3} {
		story, err := s.Story(t.Context(), explain.Query{Topic: topic, ID: id})
		must(t, err)
		if story.State != explain.Pending || len(story.Timeline) != 1 || story.Timeline[0].Sequence != sequence {
			t.Errorf("%s: %q, %+v", id, story.State, story.Timeline)
		}
	}
	l, err := s.Lag(t.Context(), explain.Cursor{Topic: topic, Floor: 1, Delivered: 1, Pending: 2})
	must(t, err)
	if l.Oldest == nil || l.Oldest.ID != "2" || l.Oldest.Source != "urn:shop" {
		t.Errorf("%+v", l.Oldest)
	}
}

// Ids may be anything that the bus carries.
func TestEventsWithHostileIDsAreFound(t *testing.T) {
	t.Parallel()
	s, _ := natsSources(t)
	for i, id := range []string{"{", "{}1", "\x1b[2J\u202e\r\n", "%41 ::x", strings.Repeat("long", 2500)} {
		e := order(id)
		e.Source = "urn:" + id
		_, err := s.Bus.Publish(t.Context(), e)
		must(t, err)
		for _, q := range []explain.Query{{ID: id}, {ID: id, Source: e.Source}, {Sequence: uint64(i + 1)}} {
			q.Topic = topic
			story, err := s.Story(t.Context(), q)
			must(t, err)
			if story.State != explain.Pending || story.ID != id || story.Source != e.Source || len(story.Timeline) != 1 {
				t.Errorf("%.32q: %+.512v", id, story)
			}
		}
	}
}

// What the stream has dropped is not found, and the story says that it may have been there.
func TestEventsThatWereDroppedAreNotFound(t *testing.T) {
	t.Parallel()
	s, nc := natsSources(t)
	_, err := s.Bus.Publish(t.Context(), order("1"), order("2"))
	must(t, err)
	_, err = nc.Request("$JS.API.STREAM.PURGE."+natsbus.StreamName(topic), []byte(`{"seq":2}`), 10*time.Second)
	must(t, err)
	story, err := s.Story(t.Context(), explain.Query{Topic: topic, ID: "1"})
	must(t, err)
	if story.State != explain.NotFound || !strings.Contains(story.Summary, "or was dropped from the stream") {
		t.Errorf("%+v", story)
	}
	if story, err = s.Story(t.Context(), explain.Query{Topic: topic, ID: "2"}); err != nil || story.State != explain.Pending {
		t.Errorf("%+v, %v", story, err)
	}
}
