package kv

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// permitted is what a user needs of the bucket b, in the order of the package's documentation.
func permitted() []string {
	return []string{
		"$KV.b.>", "$JS.API.STREAM.INFO.KV_b", "$JS.API.STREAM.MSG.GET.KV_b",
		"$JS.API.INFO", "$JS.API.STREAM.CREATE.KV_b",
		"$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.ORDERS",
	}
}

// startFor starts a server with an administrator, and with a user who may publish to the subjects
// and subscribe to the inbox.
func startFor(t *testing.T, inbox string, subjects ...string) *natstest.Server {
	t.Helper()
	return natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "admin", Password: "x"}, {
			Username: "user", Password: "x", Permissions: &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: subjects},
				Subscribe: &server.SubjectPermission{Allow: []string{inbox}},
			},
		}}
	})
}

// makeOrders makes a stream for order.placed as an administrator.
func makeOrders(t *testing.T, s *natstest.Server) {
	t.Helper()
	js, err := jetstream.New(s.Connect(t, nats.UserInfo("admin", "x")))
	if err == nil {
		orders := jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"order.>"}}
		_, err = js.CreateStream(t.Context(), orders)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The permissions of the package's documentation are enough: all to make a bucket, and the first
// three where there is one.
func TestDocumentedPermissionsAreEnough(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*Options{
		"make": {Bucket: "b", Topics: []string{"order.placed"}},
		"use":  {Bucket: "b"},
		"bind": {Bucket: "b", BindOnly: true},
	} {
		allowed := permitted()
		if name != "make" {
			allowed = allowed[:3]
		}
		s := startFor(t, "_INBOX.>", allowed...)
		makeOrders(t, s)
		if name != "make" {
			newStore(t, s.Connect(t, nats.UserInfo("admin", "x")), &Options{Bucket: "b"})
		}
		nc := s.Connect(t, nats.UserInfo("user", "x"))
		store := newStore(t, nc, o)
		mark := dedupe.Mark{Key: dedupe.Key{ID: name}, State: dedupe.Done, TTL: time.Hour}
		if err := each(store.Mark(t.Context(), []dedupe.Mark{mark})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := nc.LastError(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A missing permission ends New with an error that names the subject, whichever it is: the server
// answers nothing, so New would wait for the answer.
func TestNewNamesThePermissionThatIsMissing(t *testing.T) {
	t.Parallel()
	for i, missing := range permitted() {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			s := startFor(t, "_INBOX.>", slices.Delete(permitted(), i, i+1)...)
			makeOrders(t, s)
			err := refuse(t, s, nil)
			want := `may not publish to "` + strings.TrimSuffix(missing, ">")
			if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v\nwant ErrNoAnswer that says %s", err, want)
			}
			creates := missing == "$JS.API.INFO" || missing == "$JS.API.STREAM.CREATE.KV_b"
			if advised := strings.Contains(err.Error(), "nats kv add b"); advised != creates {
				t.Errorf("%v\nadvises to make the bucket: %v; want %v", err, advised, creates)
			}
		})
	}
}

// Answers arrive at an inbox, which is a permission as well.
func TestNewNamesTheInboxThatIsNotPermitted(t *testing.T) {
	t.Parallel()
	for inbox, o := range map[string][]nats.Option{
		"_INBOX.": nil, "_MINE.": {nats.CustomInboxPrefix("_MINE")},
	} {
		s := startFor(t, "other", permitted()...)
		makeOrders(t, s)
		err := refuse(t, s, o)
		want := `may not subscribe to "` + inbox
		if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant ErrNoAnswer that says %s", err, want)
		}
	}
}

// A permission that something else on the connection lacks is not blamed.
func TestOtherPermissionsAreNotBlamed(t *testing.T) {
	t.Parallel()
	s := startFor(t, "_INBOX.>", permitted()...)
	nc := s.Connect(t, nats.UserInfo("user", "x"))
	for _, subject := range []string{"$JS.API.STREAM.MSG.GET.ORDERS", "$KV.bb.x"} {
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := nc.LastError(); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Fatalf("the server took %s: %v", subject, err)
		}
		if err := permissionError(nc, allowIt, "$JS.API.STREAM.MSG.GET.KV_b", "$KV.b."); err != nil {
			t.Errorf("blamed: %v", err)
		}
	}
}

// A server that finds no bucket, and never says that it has made one, ends New all the same.
func TestNewEndsWhileNoBucketIsMade(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	for subject, answer := range map[string]string{
		"mine.STREAM.INFO.KV_b": `{"error":{"code":404,"err_code":10059}}`,
		"mine.INFO":             `{"api":{"level":1}}`,
		"mine.STREAM.CREATE.>":  "",
	} {
		_, err := nc.Subscribe(subject, func(m *nats.Msg) {
			if answer != "" {
				_ = m.Respond([]byte(answer)) // who does not hear it asks again
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	o := &Options{Bucket: "b", APIPrefix: "mine", Timeout: 500 * time.Millisecond}
	_, err := New(ctx, nc, o)
	if !errors.Is(err, ErrNoAnswer) {
		t.Errorf("%v; want ErrNoAnswer", err)
	}
}

// refuse returns the error of New for the user. A New that does not end by itself is ended.
func refuse(t *testing.T, s *natstest.Server, o []nats.Option) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	nc := s.Connect(t, append(o, nats.UserInfo("user", "x"))...)
	store, err := New(ctx, nc, &Options{
		Bucket: "b", Topics: []string{"order.placed"}, Timeout: 2 * time.Second,
	})
	if err == nil {
		t.Fatal("New: no error", store.Close())
	}
	return err
}
