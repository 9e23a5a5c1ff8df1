package natsserver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/internal/natsserver"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// connectAs connects a user who may publish to "allowed" and subscribe to the inbox given.
func connectAs(t *testing.T, inbox string) *nats.Conn {
	t.Helper()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "user", Password: "x", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"allowed"}},
			Subscribe: &server.SubjectPermission{Allow: []string{inbox}},
		}}}
	})
	return s.Connect(t, nats.UserInfo("user", "x"))
}

// refused makes a request, which is not answered.
func refused(t *testing.T, nc *nats.Conn, subject string) {
	t.Helper()
	if _, err := nc.Request(subject, nil, 200*time.Millisecond); err == nil {
		t.Fatal("answered")
	}
}

func TestARefusedRequestIsExplained(t *testing.T) {
	t.Parallel()
	nc := connectAs(t, "_INBOX.>")
	refused(t, nc, "allowed")
	if err := natsserver.PermissionError(nc, "allowed", "a.b"); err != nil {
		t.Errorf("nothing was refused: %v", err)
	}
	refused(t, nc, "a.b")
	for _, asked := range []string{"a.b", "a."} {
		if err := natsserver.PermissionError(nc, "other", asked); err == nil || !strings.Contains(err.Error(), `may not publish to "a.b"`) {
			t.Errorf("asked %q: %v", asked, err)
		}
	}
	if err := natsserver.PermissionError(nc, "a", "a.b.c"); err != nil {
		t.Errorf("another subject was refused: %v", err)
	}
}

func TestARefusedInboxIsExplained(t *testing.T) {
	t.Parallel()
	nc := connectAs(t, "other")
	refused(t, nc, "allowed")
	if err := natsserver.PermissionError(nc, "allowed"); err == nil || !strings.Contains(err.Error(), `may not subscribe to "_INBOX.`) {
		t.Error(err)
	}
}
