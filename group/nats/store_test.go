package nats

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
	"pgregory.net/rapid"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// A key is read as it was written, and no two keys of a group are one.
func TestKeysAreInjective(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "key")
		token := escape(s)
		if got, ok := unescape(token); !ok || got != s || strings.ContainsAny(token, ".*> \t\r\n") {
			t.Fatalf("%q became %q, and that %q", s, token, got)
		}
		if other := rapid.String().Draw(t, "token"); s != "" {
			if got, ok := unescape(other); ok && escape(got) != other {
				t.Fatalf("%q is read as %q, which is written %q", other, got, escape(got))
			}
		}
	})
}

func TestOptionsOutOfBoundsAreRefused(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	for what, o := range map[string]*Options{
		"MemberTTL is 1ms": {MemberTTL: time.Millisecond}, "Replicas is 6": {Replicas: 6}, "Timeout is -1": {Timeout: -1},
		"APIPrefix is x": {APIPrefix: "x", Domain: "y"},
	} {
		if _, err := New(t.Context(), nc, o); !errors.Is(err, ErrInvalidOptions) || !strings.Contains(err.Error(), what) {
			t.Errorf("%v; want %s", err, what)
		}
	}
}

// Processes that start at once all find the buckets that one of them makes, whatever TTL
// they would have made.
func TestBucketsAreMadeOnce(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	ttls := make(chan time.Duration, 8)
	for i := range cap(ttls) {
		nc := s.Connect(t)
		go func() {
			store, err := New(t.Context(), nc, quiet(&Options{MemberTTL: time.Duration(i+3) * time.Second}))
			if err != nil {
				t.Error(err)
				ttls <- 0
				return
			}
			ttls <- store.TTL()
		}()
	}
	first := <-ttls
	for range cap(ttls) - 1 {
		if ttl := <-ttls; ttl != first {
			t.Errorf("TTLs %v and %v", first, ttl)
		}
	}
}

func TestAMissingBucketIsNamedWhereItMayNotBeMade(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	_, err := New(t.Context(), nc, &Options{BindOnly: true})
	if !errors.Is(err, ErrNoBucket) || !strings.Contains(err.Error(), "nats kv add onceish-members --history=1 --ttl=30s") {
		t.Errorf("%v; want ErrNoBucket, and how to make it", err)
	}
	newStore(t, nc, nil)
	bound := newStore(t, nc, &Options{BindOnly: true})
	natstest.DeleteStream(t, nc, "KV_"+GroupsBucket)
	if _, err := group.Pauses(t.Context(), bound, "g"); !errors.Is(err, ErrNoBucket) {
		t.Errorf("deleted while in use: %v; want ErrNoBucket", err)
	}
}

func TestUnfitBucketsAreRefused(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]jetstream.KeyValueConfig{
		"its history is 5":         {Bucket: MembersBucket, TTL: time.Minute, History: 5},
		"its rows expire after 0s": {Bucket: MembersBucket},
		"its rows expire after 1m": {Bucket: GroupsBucket, TTL: time.Minute},
	} {
		nc := natstest.Start(t, nil).Connect(t)
		js, err := jetstream.New(nc)
		if err == nil {
			_, err = js.CreateKeyValue(t.Context(), c)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(t.Context(), nc, quiet(&Options{}))
		if !errors.Is(err, ErrBucketUnfit) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "nats stream edit KV_"+c.Bucket) {
			t.Errorf("%v; want ErrBucketUnfit: %s", err, want)
		}
	}
}

// permitted is what a user needs, in the order of the package's documentation.
func permitted() (subjects []string) {
	for _, b := range []string{MembersBucket, GroupsBucket} {
		subjects = append(subjects, "$KV."+b+".>", "$JS.API.STREAM.INFO.KV_"+b, "$JS.API.STREAM.MSG.GET.KV_"+b, "$JS.API.STREAM.CREATE.KV_"+b)
	}
	return append(subjects, "$JS.API.CONSUMER.CREATE.KV_onceish-groups.>", "$JS.API.CONSUMER.DELETE.KV_onceish-groups.>", "$JS.FC.KV_onceish-groups.>")
}

func startFor(t *testing.T, subjects []string) *nats.Conn {
	t.Helper()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "user", Password: "x", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: subjects},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}}}
	})
	return s.Connect(t, nats.UserInfo("user", "x"))
}

// use makes every kind of call.
func use(t *testing.T, nc *nats.Conn) error {
	t.Helper()
	s, err := New(t.Context(), nc, quiet(&Options{Timeout: time.Second}))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, space := range []group.Space{group.MemberRows, group.PauseRows} {
		_, put := s.Put(ctx, space, "g", "k", nil, group.AnyRevision)
		_, list := s.List(ctx, space, "g")
		if err := errors.Join(put, list, s.Delete(ctx, space, "g", "k")); err != nil {
			return err
		}
	}
	return s.Watch(ctx, "g", cancel)
}

func TestDocumentedPermissionsAreEnough(t *testing.T) {
	t.Parallel()
	nc := startFor(t, permitted())
	if err := errors.Join(use(t, nc), nc.Flush(), nc.LastError()); err != nil {
		t.Error(err)
	}
}

// The server answers nothing to a user without a permission: the error names it, and no call hangs.
func TestAMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	for i, missing := range permitted()[:9] { // the last two are for ending a watch, and for slow ones
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			err := use(t, startFor(t, slices.Delete(permitted(), i, i+1)))
			want := `may not publish to "` + strings.TrimSuffix(missing, ">")
			if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want ErrNoAnswer that says %s", err, want)
			}
		})
	}
}

func TestACallFailsAtOnceWhileDisconnected(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	nc := s.Connect(t)
	store := newStore(t, nc, nil)
	down := make(chan struct{})
	nc.SetDisconnectErrHandler(func(*nats.Conn, error) { close(down) })
	s.Stop()
	<-down
	if _, err := group.Members(t.Context(), store, "g"); !errors.Is(err, ErrDisconnected) {
		t.Errorf("%v; want ErrDisconnected", err)
	}
}

func TestServersWithoutJetStreamAreNamed(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, func(o *server.Options) { o.JetStream = false }).Connect(t)
	if _, err := New(t.Context(), nc, nil); err == nil || !strings.Contains(err.Error(), "enable it for the server") {
		t.Errorf("%v; want advice", err)
	}
}

// A domain, and a prefix of its API, are two ways to the same buckets.
func TestDomains(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, func(o *server.Options) { o.JetStreamDomain = "hub" }).Connect(t)
	var last uint64
	for _, o := range []*Options{{Domain: "hub"}, {APIPrefix: "$JS.hub.API"}, {}} {
		s := newStore(t, nc, o)
		revision, err := s.Put(t.Context(), group.PauseRows, "g", "k", nil, last)
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		if l, err := s.List(t.Context(), group.PauseRows, "g"); err != nil || l.Revision != revision {
			t.Errorf("%+v: %+v, %v", o, l, err)
		}
		last = revision
	}
}
