package schema_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/schema"
	memschema "github.com/onceish/onceish/schema/memory"
)

// recorder is a bus.Publisher that keeps what it was given.
type recorder struct{ events []bus.Event }

func (r *recorder) Publish(_ context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	r.events = append(r.events, events...)
	return make([]bus.Receipt, len(events)), nil
}

func event(id, data string) bus.Event {
	return bus.Event{ID: id, Topic: "order.placed", Data: []byte(data)}
}

func registry(t testing.TB, s schema.Store) *schema.Registry {
	t.Helper()
	r, err := schema.NewRegistry(s, &schema.RegistryOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func publisher(t testing.TB, to bus.Publisher, r *schema.Registry, o *schema.PublisherOptions) *schema.Publisher {
	t.Helper()
	p, err := schema.NewPublisher(to, r, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestValidEventIsPublishedWithItsDataSchema(t *testing.T) {
	t.Parallel()
	s, to := memschema.New(), &recorder{}
	add(t, s, withTotal, nil)
	add(t, s, withNote, nil)
	p := publisher(t, to, registry(t, s), nil)
	e := event("1", `{"total":1}`)
	e.Headers = bus.Headers{"X": {"y"}}
	if _, err := p.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	got := to.events[0]
	if number, ok := schema.NumberOf(&got); !ok || number != 2 || got.Headers.Get("X") != "y" || got.Headers.Get("ce-dataschema") != "urn:onceish:schema:order.placed:order.placed:2" {
		t.Errorf("published: %+v", got)
	}
	if len(e.Headers) != 1 {
		t.Errorf("the caller's headers were changed: %v", e.Headers)
	}
}

// All or nothing: of a batch with one invalid event none is published, and each Receipt says why.
func TestInvalidEventStopsItsBatch(t *testing.T) {
	t.Parallel()
	s, to := memschema.New(), &recorder{}
	add(t, s, withTotal, nil)
	p := publisher(t, to, registry(t, s), nil)
	receipts, err := p.Publish(t.Context(), event("1", `{"total":1}`), event("2", `{"total":"four"}`), event("3", `{`))
	if len(to.events) > 0 {
		t.Errorf("published: %+v", to.events)
	}
	if len(receipts) != 3 || !errors.Is(receipts[0].Err, schema.ErrNotPublished) || errors.Is(receipts[0].Err, bus.ErrInvalidEvent) {
		t.Fatalf("receipts: %+v", receipts)
	}
	for i, want := range []string{"at /total: it is string, want integer", "at /: not JSON"} {
		err := receipts[i+1].Err
		wrong, ok := errors.AsType[*schema.ViolationError](err)
		if !ok || !errors.Is(err, bus.ErrInvalidEvent) || !errors.Is(err, schema.ErrViolation) || !strings.Contains(err.Error(), want) || wrong.Number != 1 || strings.Contains(err.Error(), "four") {
			t.Errorf("receipt %d: %v; want %q", i+1, err, want)
		}
		if !errors.Is(err, schema.ErrViolation) {
			t.Errorf("joined: %v", err)
		}
	}
	if !errors.Is(err, schema.ErrNotPublished) || !errors.Is(err, schema.ErrViolation) {
		t.Errorf("joined: %v", err)
	}
}

// A schema that turns incompatible while producers run stops those that do not say which version
// they write, with the reason; it does not let their events through, and loses none of them. Those
// that say so go on.
func TestSchemaTurnsIncompatibleWhileProducersRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memschema.New()
		add(t, s, withTotal, nil)
		r, loose, pinned := registry(t, s), &recorder{}, &recorder{}
		newest := publisher(t, loose, r, nil)
		first := publisher(t, pinned, r, &schema.PublisherOptions{Versions: map[schema.Subject]int{{Topic: "order.placed"}: 1}})
		publish := func(p *schema.Publisher) error {
			_, err := p.Publish(t.Context(), event("1", `{"total":1}`))
			return err
		}
		if err := errors.Join(publish(newest), publish(first)); err != nil {
			t.Fatal(err)
		}
		add(t, s, withCurrency, &schema.AddOptions{Force: "it is time"})
		if err := publish(newest); err != nil {
			t.Errorf("before the schema is read again: %v", err)
		}
		time.Sleep(30 * time.Second)
		if err := publish(newest); !errors.Is(err, schema.ErrViolation) || !strings.Contains(err.Error(), `version 2, at /: missing "currency"`) {
			t.Errorf("after the schema is read again: %v", err)
		}
		if err := publish(first); err != nil {
			t.Errorf("a producer of version 1: %v", err)
		}
		if len(loose.events) != 2 || len(pinned.events) != 2 {
			t.Errorf("published: %d and %d, want 2 and 2", len(loose.events), len(pinned.events))
		}
		if n, _ := schema.NumberOf(&pinned.events[1]); n != 1 {
			t.Errorf("published as version %d, want 1", n)
		}
	})
}

func TestEventMayNameItsVersion(t *testing.T) {
	t.Parallel()
	s, to := memschema.New(), &recorder{}
	add(t, s, withTotal, nil)
	add(t, s, withCurrency, &schema.AddOptions{Force: "x"})
	p := publisher(t, to, registry(t, s), nil)
	if _, err := p.Publish(t.Context(), schema.WithNumber(event("1", `{"total":1}`), 1)); err != nil {
		t.Error(err)
	}
	foreign := event("2", `{"total":1,"currency":"EUR"}`)
	foreign.Headers = bus.Headers{"CE-DataSchema": {"https://example.com/order.json"}}
	if _, err := p.Publish(t.Context(), foreign); err != nil || to.events[1].Headers.Get("ce-dataschema") != "https://example.com/order.json" {
		t.Errorf("a producer's own dataschema: %v, %+v", err, to.events)
	}
	other := schema.WithNumber(bus.Event{ID: "3", Topic: "other"}, 1)
	other.Topic = "order.placed"
	if _, err := p.Publish(t.Context(), other); !errors.Is(err, schema.ErrViolation) || !strings.Contains(err.Error(), "another subject") {
		t.Errorf("another subject's: %v", err)
	}
	if _, err := p.Publish(t.Context(), schema.WithNumber(event("4", `{}`), 7)); !errors.Is(err, bus.ErrUnavailable) || !errors.Is(err, schema.ErrNoSchema) {
		t.Errorf("a version that is not there: %v", err)
	}
}

func TestSubjectWithoutSchema(t *testing.T) {
	t.Parallel()
	to := &recorder{}
	if _, err := publisher(t, to, registry(t, memschema.New()), nil).Publish(t.Context(), event("1", "no JSON")); err != nil || len(to.events[0].Headers) > 0 {
		t.Errorf("%v, %+v", err, to.events)
	}
	_, err := publisher(t, to, registry(t, memschema.New()), &schema.PublisherOptions{Require: true}).Publish(t.Context(), event("2", "{}"))
	if !errors.Is(err, bus.ErrInvalidEvent) || !strings.Contains(err.Error(), "have no schema, which is required") || len(to.events) != 1 {
		t.Errorf("required: %v, %+v", err, to.events)
	}
}

// The type of an event may be anything: what can have no schema has none.
func TestTypeThatCanHaveNoSchema(t *testing.T) {
	t.Parallel()
	s := &failing{Store: memschema.New(), err: func() error { return errors.New("it was asked") }}
	e := event("1", "x")
	e.Type = strings.Repeat("t", 256)
	to := &recorder{}
	if _, err := publisher(t, to, registry(t, s), nil).Publish(t.Context(), e); err != nil || len(to.events) != 1 {
		t.Error(err)
	}
	if got, err := handled(t, registry(t, s), &schema.MiddlewareOptions{Require: true}, e); got != nil || !consumer.IsPermanent(err) {
		t.Errorf("%v, %v", got, err)
	}
}

// Partitions of a topic have its schema.
func TestPartitionsHaveTheSchemaOfTheirTopic(t *testing.T) {
	t.Parallel()
	s, to := memschema.New(), &recorder{}
	add(t, s, withTotal, nil)
	e := event("1", `{}`)
	e.Topic = "order.placed.of8.3"
	if _, err := publisher(t, to, registry(t, s), nil).Publish(t.Context(), e); !errors.Is(err, schema.ErrViolation) {
		t.Error(err)
	}
}

// While the store is away, what is known stays in use; of what is not, Away decides. Once it
// answers, so do new schemas.
func TestStoreIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		away := gone
		s := &failing{Store: memschema.New(), err: func() error { return away }}
		var log bytes.Buffer
		r, err := schema.NewRegistry(s, &schema.RegistryOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		to := &recorder{}
		publish := func(o *schema.PublisherOptions, data string) error {
			_, err := publisher(t, to, r, o).Publish(t.Context(), event("1", data))
			return err
		}
		for range 100 {
			if err := publish(nil, "{}"); !errors.Is(err, bus.ErrUnavailable) || !errors.Is(err, schema.ErrAway) || !errors.Is(err, gone) {
				t.Fatalf("retry: %v", err)
			}
		}
		if err := publish(&schema.PublisherOptions{Away: schema.Refuse}, "{}"); !errors.Is(err, bus.ErrInvalidEvent) || errors.Is(err, bus.ErrUnavailable) {
			t.Errorf("refuse: %v", err)
		}
		if err := publish(&schema.PublisherOptions{Away: schema.Pass}, "{}"); err != nil || len(to.events) != 1 {
			t.Errorf("pass: %v", err)
		}
		if s.calls != 1 {
			t.Errorf("a store that does not answer was read %d times at once", s.calls)
		}
		away = nil
		add(t, s.Store, withTotal, nil)
		time.Sleep(time.Second)
		if err := publish(nil, "{}"); !errors.Is(err, schema.ErrViolation) {
			t.Errorf("the store is back: %v", err)
		}
		away = gone
		time.Sleep(time.Hour)
		if err := publish(nil, "{}"); !errors.Is(err, schema.ErrViolation) {
			t.Errorf("known, and the store is away again: %v", err)
		}
		add(t, s.Store, `true`, &schema.AddOptions{Mode: schema.None})
		away = nil
		time.Sleep(time.Hour)
		if err := publish(nil, "{}"); err != nil {
			t.Errorf("a newer version: %v", err)
		}
		if n := strings.Count(log.String(), "schemas cannot be read"); n != 2 {
			t.Errorf("logged %d times, want 2:\n%s", n, log.String())
		}
		if n := strings.Count(log.String(), "schemas can be read again"); n != 2 {
			t.Errorf("logged %d times, want 2:\n%s", n, log.String())
		}
	})
}

// A store that stays away is left alone for longer and longer.
func TestStoreThatStaysAwayIsReadSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &failing{Store: memschema.New(), err: func() error { return errors.New("gone") }}
		p := publisher(t, &recorder{}, registry(t, s), nil)
		for range 600 {
			if _, err := p.Publish(t.Context(), event("1", "{}")); !errors.Is(err, schema.ErrAway) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if s.calls < 20 || s.calls > 30 {
			t.Errorf("it was read %d times in ten minutes, want about once in 30 s", s.calls)
		}
	})
}

// Schemas are read once for many events, whoever publishes them.
func TestSchemasAreCached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &failing{Store: memschema.New(), err: func() error { time.Sleep(time.Second); return nil }}
		add(t, s.Store, withTotal, nil)
		r := registry(t, s)
		begun := time.Now()
		errs := make(chan error)
		for range 50 {
			go func() {
				_, err := publisher(t, &recorder{}, r, nil).Publish(t.Context(), event("1", `{"total":1}`))
				errs <- err
			}()
		}
		for range 50 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(begun); s.calls != 1 || took != time.Second {
			t.Errorf("%d calls in %v, want one of a second", s.calls, took)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, o := range []schema.RegistryOptions{{Refresh: 1}, {Refresh: 48 * time.Hour}, {Timeout: -1}, {MaxSubjects: -1}} {
		if _, err := schema.NewRegistry(memschema.New(), &o); !errors.Is(err, schema.ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	r := registry(t, memschema.New())
	for _, o := range []schema.PublisherOptions{{Away: 7}, {Versions: map[schema.Subject]int{{Topic: "a.*"}: 1}}, {Versions: map[schema.Subject]int{{Topic: "a"}: 0}}} {
		if _, err := schema.NewPublisher(&recorder{}, r, &o); !errors.Is(err, schema.ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	id := func(data []byte) ([]byte, error) { return data, nil }
	for _, o := range []schema.MiddlewareOptions{
		{Away: -1},
		{Upcasters: []schema.Upcaster{schema.Upcast(2, 1, id)}},
		{Upcasters: []schema.Upcaster{schema.Upcast(0, 1, id)}},
		{Upcasters: []schema.Upcaster{schema.Upcast(1, 2, nil)}},
		{Upcasters: []schema.Upcaster{schema.Upcast(1, 2, id), schema.Upcast(1, 3, id)}},
	} {
		if _, err := schema.Middleware(r, &o); !errors.Is(err, schema.ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
