package provision_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker/provision"
)

// What would delete messages is refused with its reason and its command, leaves them, and does not
// keep the rest from being done.
func TestWhatWouldDeleteMessagesIsRefused(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct{ field, why, command string }{
		"max_msgs: 3":             {"max_msgs", "max_msgs: it has 4 messages", "nats stream edit ORDERS --max-msgs=3"},
		"max_bytes: 10B":          {"max_bytes", "max_bytes: it has ", "nats stream edit ORDERS --max-bytes=10"},
		"max_msgs_per_subject: 1": {"max_msgs_per_subject", `max_msgs_per_subject: it has 3 messages of "order.a"`, "nats stream edit ORDERS --max-msgs-per-subject=1"},
		"max_age: 100ms":          {"max_age", "max_age: its oldest message is ", "nats stream edit ORDERS --max-age=100ms --dupe-window=100ms"},
		"storage: memory":         {"storage", "storage: the messages of a stream cannot be moved", "nats stream backup ORDERS ORDERS.backup"},
		"retention: workqueue":    {"retention", "retention: the messages of a stream cannot be moved", "nats stream backup ORDERS ORDERS.backup"},
		"subjects: [order.b]":     {"subjects", `subjects: it has 3 messages of "order.a", which it would take no more of`, "nats stream edit ORDERS --subjects='order.b'"},
	} {
		s := newSite(t)
		s.apply(subscription + streams("{name: ORDERS, subjects: [order.*]}"))
		s.publish("order.a", "order.a", "order.b", "order.a")
		s.awaitAge("ORDERS", 150*time.Millisecond)
		subjects := ", subjects: [order.*]"
		if strings.HasPrefix(want, "subjects") {
			subjects = ""
		}
		file := subscription + streams("{name: ORDERS"+subjects+", "+want+"}", "{name: LATER, subjects: [later]}")
		p := s.plan(file)
		if err := p.Apply(t.Context(), nil); !errors.Is(err, provision.ErrIncomplete) {
			t.Errorf("%s: %v", want, err)
		}
		item := itemOf(t, p, "ORDERS")
		if item.Action != provision.Refuse || item.Fields[0].Name != c.field || !strings.HasPrefix(item.Why, c.why) || item.Command != c.command {
			t.Errorf("%s: %+v", want, item)
		}
		if n := s.messages()["ORDERS"]; n != 4 {
			t.Errorf("%s: %d messages are left", want, n)
		}
		if later := itemOf(t, s.plan(file), "LATER"); later.Action != provision.Keep {
			t.Errorf("%s: the rest was not done: %+v", want, later)
		}
	}
}

// A server that would make the stream without its schedules, for it does not know them, is refused.
func TestAServerThatIsTooOldForSchedulesIsRefused(t *testing.T) {
	t.Parallel()
	s := siteAt(t, natstest.StartVersion(t, natsbus.OldestServer).URL(), "")
	p := s.plan(subscription + streams("{name: ORDERS, subjects: [order.*], allow_schedules: true}"))
	item := itemOf(t, p, "ORDERS")
	if item.Action != provision.Refuse || !strings.Contains(item.Why, natsbus.OldestServer) || !strings.Contains(item.Why, natsbus.OldestScheduling) {
		t.Errorf("%+v, want it to be refused for its version", item)
	}
	if err := p.Apply(t.Context(), nil); !errors.Is(err, provision.ErrIncomplete) {
		t.Error(err)
	}
	if _, err := s.js.Stream(t.Context(), "ORDERS"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the stream: %v, want none", err)
	}
}

// awaitAge waits until the stream's oldest message is so old by the server's clock.
func (s *site) awaitAge(stream string, age time.Duration) {
	s.Helper()
	for {
		found, err := s.js.Stream(s.Context(), stream)
		must(s, err)
		if info := found.CachedInfo(); info.TimeStamp.Sub(info.State.FirstTime) > age {
			return
		}
	}
}

// The same limits are taken where they delete nothing.
func TestWhatDeletesNothingIsChanged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.apply(subscription + streams("{name: ORDERS, subjects: [order.*, refund.*]}"))
	s.publish("order.a", "order.a", "order.b", "order.a")
	s.apply(subscription + streams("{name: ORDERS, subjects: [order.*], max_msgs: 4, max_msgs_per_subject: 3, max_bytes: 1MiB, max_age: 1h, duplicate_window: 1m, discard: new}"))
	c := s.config("ORDERS")
	if c.MaxMsgs != 4 || c.MaxMsgsPerSubject != 3 || c.MaxAge != time.Hour || c.Duplicates != time.Minute || c.Discard != jetstream.DiscardNew || len(c.Subjects) != 1 {
		t.Errorf("%+v", c)
	}
	s.apply(subscription + streams("{name: ORDERS, subjects: [order.*], max_msgs: unlimited, max_age: unlimited}"))
	if c := s.config("ORDERS"); c.MaxMsgs != -1 || c.MaxAge != 0 || c.MaxBytes != 1<<20 || c.Discard != jetstream.DiscardNew {
		t.Errorf("what was not given has changed, or what was given has not: %+v", c)
	}
	if n := s.messages()["ORDERS"]; n != 4 {
		t.Errorf("%d messages are left", n)
	}
}

func TestMirrorsAndSealedStreamsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.apply(subscription + streams("{name: ORDERS, subjects: [order.*]}"))
	_, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "COPY", Mirror: &jetstream.StreamSource{Name: "ORDERS"}})
	must(t, err)
	sealed := jetstream.StreamConfig{Name: "OLD", Subjects: []string{"old"}}
	_, err = s.js.CreateStream(t.Context(), sealed)
	must(t, err)
	sealed.Sealed = true
	_, err = s.js.UpdateStream(t.Context(), sealed)
	must(t, err)
	p := s.plan(subscription + streams("{name: COPY, subjects: [copy]}", "{name: OLD, subjects: [old], max_msgs: 9}"))
	for name, why := range map[string]string{"COPY": "it is a mirror of ORDERS", "OLD": "it is sealed"} {
		if item := itemOf(t, p, name); item.Action != provision.Refuse || !strings.Contains(item.Why, why) {
			t.Errorf("%+v", item)
		}
	}
}

// What a server refuses is the item's error, says what to do, and keeps nothing else from
// being done.
func TestWhatTheServerRefusesSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"taken.*"}})
	must(t, err)
	file := subscription + streams("{name: MANY, subjects: [a], replicas: 3}", "{name: TAKEN, subjects: [taken.>]}", "{name: LATER, subjects: [later]}")
	p := s.plan(file)
	if err := p.Apply(t.Context(), nil); !errors.Is(err, provision.ErrIncomplete) || !strings.Contains(err.Error(), "2 of 9 items") {
		t.Error(err)
	}
	for name, advice := range map[string]string{"MANY": "ask for fewer replicas", "TAKEN": "another stream takes some of these subjects", "LATER": ""} {
		if item := itemOf(t, p, name); item.Action != provision.Create || (item.Error == "") != (advice == "") || !strings.Contains(item.Error, advice) {
			t.Errorf("%+v", item)
		}
	}
}

// Who may not make streams is told the permission that lacks, for each item.
func TestAMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "x"},
			{Username: "worker", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.CREATE.ORDERS"}}}},
		}
	})
	as := func(user string) *site {
		at, err := url.Parse(srv.URL())
		must(t, err)
		at.User = url.UserPassword(user, "x")
		return siteAt(t, at.String(), "")
	}
	s := as("worker")
	p := s.plan(whole)
	if err := p.Apply(t.Context(), nil); !errors.Is(err, provision.ErrIncomplete) {
		t.Error(err)
	}
	if item := itemOf(t, p, "ORDERS"); !strings.Contains(item.Error, `may not publish to "$JS.API.STREAM.CREATE.ORDERS": allow it`) {
		t.Errorf("%+v", item)
	}
	as("admin").apply(whole)
	s.keepsAll(whole)
}
