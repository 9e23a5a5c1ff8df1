package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// documented is the block of the deployment guide that begins with a line.
func documented(t *testing.T, first string) string {
	t.Helper()
	guide, err := os.ReadFile(filepath.FromSlash("../docs/deploy.md"))
	must(t, err)
	block := regexp.MustCompile("(?s)```text\n(" + regexp.QuoteMeta(first) + ".*?)```").FindSubmatch(guide)
	if block == nil {
		t.Fatalf("the guide has no block that begins with %q", first)
	}
	return string(block[1])
}

// The permissions that the deployment guide lists are enough: a worker with no others handles
// events, retries and dead-letters them, and the server refuses it nothing.
func TestDocumentedPermissionsAreEnough(t *testing.T) {
	t.Parallel()
	name := file(t, "permissions.conf", "authorization: { users: [\n{user: admin, password: x}\n{user: worker, password: x, permissions: {\n"+documented(t, "publish:")+"}}\n] }")
	parsed, err := server.ProcessConfigFile(name)
	must(t, err)
	s := natstest.Start(t, func(o *server.Options) { o.Users = parsed.Users })
	at := func(user string) string { return fmt.Sprintf("nats://%s:x@%s", user, s.Addr()) }
	admin, err := Connect(t.Context(), &ConnectOptions{NATS: at("admin"), Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, admin.Close()) }()
	js, err := jetstream.New(admin.NATS())
	must(t, err)
	for stream, subject := range map[string]string{"ORDERS": "order.>", "DEAD": "dead.>"} {
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: stream, Subjects: []string{subject}})
		must(t, err)
	}
	bucket, err := kvdedupe.New(t.Context(), admin.NATS(), nil)
	must(t, err)
	must(t, bucket.Close())
	_, err = admin.GroupStore(t.Context())
	must(t, err)
	_, err = admin.Bus().Publish(t.Context(), bus.Event{ID: "1", Topic: "order.placed"}, bus.Event{ID: "2", Topic: "order.placed"})
	must(t, err)

	var log bytes.Buffer
	var runs atomic.Int64
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for range 2 { // as a group that is new, and as one that is known
		err = Serve(t.Context(), "billing", &ConnectOptions{NATS: at("worker"), Logger: logger}, &Options{UntilEmpty: true, Logger: logger},
			func(_ context.Context, w *Worker) error {
				w.Handle("order.placed", func(_ context.Context, e bus.Event) error {
					if runs.Add(1) <= 1 || e.ID == "2" {
						return errActor
					}
					return nil
				}, &consumer.Options{MaxAttempts: 2, Backoff: consumer.Backoff{Base: time.Millisecond, Max: time.Millisecond}})
				return nil
			})
		if !errors.Is(err, ErrUndone) { // it gives an event up
			must(t, err)
		}
	}
	dead, err := js.Stream(t.Context(), "DEAD")
	must(t, err)
	if n := dead.CachedInfo().State.Msgs; n != 1 || strings.Contains(strings.ToLower(log.String()), "permission") {
		t.Errorf("%d letters\n%s", n, &log)
	}
}
