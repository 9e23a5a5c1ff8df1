package worker

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// Workers on two clusters that share a database share neither marks nor outbox rows when each
// has a namespace.
func TestNamespacesShareNothing(t *testing.T) {
	t.Parallel()
	uri := uriOf(t, mongotest.Database(t).Name())
	key := dedupe.Key{Topic: "order.placed", Group: "billing", ID: "1"}
	for i, namespace := range []string{"", "eu", "us"} {
		c, err := Connect(t.Context(), &ConnectOptions{NATS: natstest.Start(t, nil).URL(), Store: uri, Namespace: namespace, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		t.Cleanup(func() { must(t, c.Close()) })
		store, err := c.Store(t.Context())
		must(t, err)
		states, err := store.Seen(t.Context(), []dedupe.Key{key})
		if err != nil || states[0].State != dedupe.Fresh {
			t.Errorf("%q: the event is %v, %v: another namespace has marked it", namespace, states, err)
		}
		errs, err := store.Mark(t.Context(), []dedupe.Mark{{Key: key, State: dedupe.Done, TTL: time.Hour}})
		if err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
		box := openBox(t, c)
		for range i + 1 {
			_, err := box.AddAlone(t.Context(), bus.Event{Topic: "order.placed"})
			must(t, err)
		}
		admin, err := OpenOutbox(t.Context(), &ConnectOptions{Store: uri, Namespace: namespace, Name: "test"}, "")
		must(t, err)
		if n, err := admin.Count(t.Context()); err != nil || n.Pending != i+1 {
			t.Errorf("%q: %+v, %v, want %d rows", namespace, n, err, i+1)
		}
		must(t, admin.Close())
		if _, err := c.Outbox(t.Context(), "dedupe", nil); err == nil {
			t.Errorf("%q: an outbox among the marks", namespace)
		}
	}
}

// A URI without a database is used with the default one, which others may use too: that is said.
func TestURIWithoutADatabaseIsToldOf(t *testing.T) {
	t.Parallel()
	for database, want := range map[string]int{"": 1, mongotest.Database(t).Name(): 0} {
		var log bytes.Buffer
		c, err := Connect(t.Context(), &ConnectOptions{NATS: natstest.Start(t, nil).URL(), Store: uriOf(t, database), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		must(t, err)
		_, err = c.OpenDatabase(t.Context())
		must(t, err)
		must(t, c.Close())
		if n := strings.Count(log.String(), "names no database"); n != want {
			t.Errorf("%q: said %d times: %s", database, n, &log)
		}
	}
}
