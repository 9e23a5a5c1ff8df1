package nats_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/schema"
	natsschema "github.com/onceish/onceish/schema/nats"
	"github.com/onceish/onceish/schema/schematest"
)

func open(t *testing.T, nc *nats.Conn, o natsschema.Options) *natsschema.Store {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := natsschema.New(t.Context(), nc, &o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	var n atomic.Int64
	schematest.Run(t, schematest.Harness{New: func(t *testing.T) schema.Store {
		return open(t, server.Connect(t), natsschema.Options{Bucket: fmt.Sprint("schemas-", n.Add(1))})
	}})
}

var placed = schema.Subject{Topic: "order.placed"}

func TestBucketIsMadeOnce(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	nc := server.Connect(t)
	o := &natsschema.Options{BindOnly: true, Logger: slog.New(slog.DiscardHandler)}
	if _, err := natsschema.New(t.Context(), nc, o); !errors.Is(err, natsschema.ErrNoBucket) || !strings.Contains(err.Error(), "nats kv add onceish-schemas") {
		t.Errorf("without a bucket: %v", err)
	}
	if _, err := schema.Add(t.Context(), open(t, nc, natsschema.Options{}), placed, []byte("{}"), nil); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, nc, natsschema.Options{BindOnly: true}).Versions(t.Context(), placed, 0)
	if err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Schemas that expire would let events through unchecked.
func TestUnfitBucketIsRefused(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	nc := server.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]jetstream.KeyValueConfig{"expire after 1h0m0s": {Bucket: "b", TTL: time.Hour}} {
		if _, err := js.CreateKeyValue(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		_, err := natsschema.New(t.Context(), nc, &natsschema.Options{Bucket: c.Bucket})
		if !errors.Is(err, natsschema.ErrBucketUnfit) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	nc := server.Connect(t)
	for _, o := range []natsschema.Options{{Replicas: 6}, {Timeout: -1}, {Domain: "a", APIPrefix: "b"}} {
		if _, err := natsschema.New(t.Context(), nc, &o); !errors.Is(err, natsschema.ErrInvalidOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	s := open(t, nc, natsschema.Options{})
	natstest.DeleteStream(t, nc, "KV_onceish-schemas")
	if _, err := s.Versions(t.Context(), placed, 0); !errors.Is(err, natsschema.ErrNoBucket) {
		t.Errorf("a bucket that was deleted: %v", err)
	}
	nc.Close()
	if _, err := s.Versions(t.Context(), placed, 0); !errors.Is(err, natsschema.ErrDisconnected) {
		t.Errorf("a closed connection: %v", err)
	}
}
