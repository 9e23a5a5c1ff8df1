package provision_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/provision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a server, and connections to it as a worker has them.
type site struct {
	*testing.T

	js    jetstream.JetStream
	conns *worker.Connections
	mongo string // URI; empty: none
}

func newSite(t *testing.T) *site { t.Helper(); return siteAt(t, natstest.Start(t, nil).URL(), "") }

func siteAt(t *testing.T, url, mongo string) *site {
	t.Helper()
	conns, err := worker.Connect(t.Context(), &worker.ConnectOptions{NATS: url, Store: mongo, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { must(t, conns.Close()) })
	js, err := jetstream.New(natstest.Connect(t, url))
	must(t, err)
	return &site{t, js, conns, mongo}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// subscription is one that needs streams for order.placed and dead.billing.
const subscription = "group: billing\nsubscriptions:\n  - topic: order.placed\n    handler: {exec: ./charge}\n"

// streams are the lines of a section with these streams.
func streams(lines ...string) string {
	return "provision:\n  streams:\n    - " + strings.Join(lines, "\n    - ") + "\n"
}

func (s *site) parse(file string) *config.Config {
	s.Helper()
	c, problems := config.Parse("worker.yaml", []byte(file), func(string) (string, bool) { return "", false })
	if c == nil {
		s.Fatalf("%s\n%v", file, problems)
	}
	c.Mongo.URI = s.mongo
	return c
}

func (s *site) plan(file string) *provision.Plan {
	s.Helper()
	p, err := provision.New(s.Context(), s.conns, s.parse(file))
	must(s, err)
	return p
}

func (s *site) apply(file string) *provision.Plan {
	s.Helper()
	p := s.plan(file)
	if err := p.Apply(s.Context(), nil); err != nil {
		s.Fatalf("%v: %+v", err, p.Items)
	}
	return p
}

// keepsAll fails unless there is nothing to do.
func (s *site) keepsAll(file string) {
	s.Helper()
	for _, item := range s.plan(file).Items {
		if !item.Done() {
			s.Errorf("a second plan is to do something: %+v", item)
		}
	}
}

func (s *site) config(stream string) jetstream.StreamConfig {
	s.Helper()
	found, err := s.js.Stream(s.Context(), stream)
	must(s, err)
	return found.CachedInfo().Config
}

func (s *site) publish(subjects ...string) {
	s.Helper()
	for _, subject := range subjects {
		_, err := s.js.Publish(s.Context(), subject, []byte("{}"))
		must(s, err)
	}
}

// messages returns how many there are in each stream.
func (s *site) messages() map[string]uint64 {
	s.Helper()
	all := make(map[string]uint64)
	list := s.js.ListStreams(context.Background())
	for info := range list.Info() {
		all[info.Config.Name] = info.State.Msgs
	}
	must(s, list.Err())
	return all
}

// itemOf is the only item of a name.
func itemOf(t testing.TB, p *provision.Plan, name string) provision.Item {
	t.Helper()
	for _, item := range p.Items {
		if item.Name == name {
			return item
		}
	}
	t.Fatalf("no item %s in %+v", name, p.Items)
	return provision.Item{}
}
