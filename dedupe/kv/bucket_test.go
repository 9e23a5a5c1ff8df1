package kv

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/natstest"
)

func TestOptionsAreValidated(t *testing.T) {
	t.Parallel()
	for field, o := range map[string]*Options{
		"Bucket":    {Bucket: "a.b"},
		"Replicas":  {Replicas: 6},
		"Timeout":   {Timeout: -1},
		"Window":    {Window: 8001},
		"APIPrefix": {Domain: "hub", APIPrefix: "$JS.hub.API"},
	} {
		if _, err := New(t.Context(), nil, o); !errors.Is(err, ErrInvalidOptions) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v, want ErrInvalidOptions that names it", field, err)
		}
	}
	if _, err := New(t.Context(), nil, nil); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("no connection: %v, want ErrInvalidOptions", err)
	}
}

func TestNewMakesTheBucket(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { newStore(t, nc, nil) })
	}
	wg.Wait()
	js := stream(t, nc, DefaultBucket)
	info, err := js.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c := info.Config; !c.AllowMsgTTL || c.MaxMsgsPerSubject != 1 || c.Storage != jetstream.FileStorage || c.AllowDirect {
		t.Errorf("the bucket is made as %+v", c)
	}
	if info.State.Msgs != 0 {
		t.Errorf("New leaves %d messages behind", info.State.Msgs)
	}
}

// TestAPIPrefixWithItsDot: the prefix is understood with the dot at its end and without, as
// the bus does.
func TestAPIPrefixWithItsDot(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	for _, prefix := range []string{"$JS.API", "$JS.API."} {
		s := newStore(t, nc, &Options{APIPrefix: prefix})
		if c := claimOne(t, s, "a", "n"+prefix); c.Err != nil {
			t.Errorf("%q: %v", prefix, c.Err)
		}
	}
}

// TestWatermarksStay: no TTL is on a watermark, whoever wrote it last.
func TestWatermarksStay(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	s := newStore(t, nc, nil)
	at := dedupe.Watermark{Position: dedupe.Position{Stream: "ORDERS", Sequence: 7, Stored: time.Unix(1, 0)}}
	if _, err := s.Begin(t.Context(), "billing", "order.placed", at); err != nil {
		t.Fatal(err)
	}
	claimOne(t, s, "a", "n")
	for range 2 {
		msg, err := stream(t, nc, DefaultBucket).GetLastMsgForSubject(t.Context(), s.kept+watermarkKey("billing", "order.placed"))
		if err != nil {
			t.Fatal(err)
		}
		if ttl := msg.Header.Get("Nats-TTL"); ttl != "" {
			t.Errorf("the watermark of sequence %d is gone after %s s", at.Sequence, ttl)
		}
		at.Sequence++
		if err := s.Advance(t.Context(), "billing", "order.placed", at); err != nil {
			t.Fatal(err)
		}
	}
	claim, err := stream(t, nc, DefaultBucket).GetLastMsgForSubject(t.Context(), s.kept+eventKey(testKey("a")))
	if err != nil || claim.Header.Get("Nats-TTL") == "" {
		t.Errorf("a claim has no TTL (%v): the test does not see one", err)
	}
}

func stream(t *testing.T, nc *nats.Conn, bucket string) jetstream.Stream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), streamName(bucket))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBindOnlyMakesNothing(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	o := &Options{Bucket: "mine", BindOnly: true}
	if _, err := New(t.Context(), nc, o); !errors.Is(err, ErrNoBucket) {
		t.Fatalf("New: %v, want ErrNoBucket", err)
	}
	newStore(t, nc, &Options{Bucket: "mine"})
	newStore(t, nc, o)
}

func TestUnfitBucketsAreRefused(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for fix, spoil := range map[string]func(c *jetstream.StreamConfig){
		"--allow-msg-ttl":            func(c *jetstream.StreamConfig) { c.AllowMsgTTL = false },
		"--max-msgs-per-subject=1":   func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 },
		"--max-age=0s":               func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"--discard=new":              func(c *jetstream.StreamConfig) { c.Discard, c.MaxBytes = jetstream.DiscardOld, 1<<20 },
		"--max-msg-size=-1":          func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1024 },
		"made as a key-value bucket": func(c *jetstream.StreamConfig) { c.Subjects = []string{"$KV." + c.Name[3:] + ".e.>"} },
		"without a subject transform": func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: ">", Destination: "x.>"}
		},
		"use a bucket of its own": func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "other"}} },
		"use another bucket":      func(c *jetstream.StreamConfig) { c.Sealed = true },
	} {
		o := bucketOptions()
		c := bucketConfig(o)
		spoil(&c)
		sealed := c.Sealed
		c.Sealed = false
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatalf("%s: %v", fix, err)
		}
		if c.Sealed = sealed; sealed {
			if _, err := js.UpdateStream(t.Context(), c); err != nil {
				t.Fatalf("%s: %v", fix, err)
			}
		}
		_, err := New(t.Context(), nc, o)
		if !errors.Is(err, ErrBucketUnfit) || !strings.Contains(err.Error(), fix) || !strings.Contains(err.Error(), o.Bucket) {
			t.Errorf("New: %v, want ErrBucketUnfit that names the bucket and says %q", err, fix)
		}
	}
}

func TestMemoryBucketWarns(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	o := bucketOptions()
	c := bucketConfig(o)
	c.Storage = jetstream.MemoryStorage
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	newStore(t, nc, o)
	if !strings.Contains(log.String(), "memory") {
		t.Errorf("log: %q, want a warning", log.String())
	}
}

func TestOldServer(t *testing.T) {
	t.Parallel()
	const old = "2.10.29"
	_, err := New(t.Context(), natstest.Connect(t, natstest.Pretend(t, old)), nil)
	if !errors.Is(err, ErrServerTooOld) || !strings.Contains(err.Error(), old) || !strings.Contains(err.Error(), OldestServer) {
		t.Errorf("New: %v, want ErrServerTooOld that names %s and %s", err, old, OldestServer)
	}
}

func TestDomain(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, func(o *server.Options) { o.JetStreamDomain = "hub" }).Connect(t)
	for name, o := range map[string]*Options{"domain": {Domain: "hub"}, "prefix": {APIPrefix: "$JS.hub.API"}, "none": {}} {
		store := newStore(t, nc, o)
		c := claimOne(t, store, name, "n")
		if c.State != dedupe.Fresh || !settleOne(t, store, c, dedupe.Succeeded) {
			t.Errorf("%s: %+v", name, c)
		}
		if c = claimOne(t, store, name, "m"); c.State != dedupe.Done {
			t.Errorf("%s: a settled key is %v, want done", name, c.State)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := New(ctx, nc, &Options{Domain: "spoke"}); err == nil {
		t.Error("New in a domain that is not there: no error")
	}
}

// A server without JetStream is told from one that does not answer, with what to do.
func TestServerWithoutJetStreamIsSaidToBe(t *testing.T) {
	nc := natstest.Start(t, func(o *server.Options) { o.JetStream = false }).Connect(t)
	for name, o := range map[string]*Options{"alone": nil, "for topics": {Topics: []string{"order.placed"}}} {
		if _, err := New(t.Context(), nc, o); !errors.Is(err, nats.ErrNoResponders) || !strings.Contains(err.Error(), "nats-server -js") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
