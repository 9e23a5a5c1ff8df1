package schema_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/schema"
	memschema "github.com/onceish/onceish/schema/memory"
)

// handled runs an event through the middleware. What the handler got is nil if it was not called.
func handled(t *testing.T, r *schema.Registry, o *schema.MiddlewareOptions, e bus.Event) (got *bus.Event, err error) {
	t.Helper()
	m, err := schema.Middleware(r, o)
	if err != nil {
		t.Fatal(err)
	}
	err = m(func(_ context.Context, e bus.Event) error {
		got = &e
		return nil
	})(t.Context(), e)
	return got, err
}

func TestInvalidEventIsDeadLetteredWithPathAndReason(t *testing.T) {
	t.Parallel()
	s := memschema.New()
	add(t, s, withTotal, nil)
	r := registry(t, s)
	got, err := handled(t, r, nil, event("1", `{"total":"secret"}`))
	if got != nil || !consumer.IsPermanent(err) || err.Error() != "event violates its schema: order.placed, version 1, at /total: it is string, want integer" {
		t.Errorf("%v, %v", got, err)
	}
	got, err = handled(t, r, nil, event("1", `{"total":5}`))
	if err != nil || got == nil || string(got.Data) != `{"total":5}` {
		t.Errorf("%v, %v", got, err)
	}
	if number, _ := schema.NumberOf(got); number != 1 {
		t.Errorf("the handler got version %d", number)
	}
}

// An event is of the version that it names. Without one it is of the newest that it is valid under.
func TestVersionOfAnEvent(t *testing.T) {
	t.Parallel()
	s := memschema.New()
	add(t, s, withTotal, nil)
	add(t, s, withCurrency, &schema.AddOptions{Force: "x"})
	r := registry(t, s)
	full, old := `{"total":1,"currency":"EUR"}`, `{"total":1}`
	for i, c := range []struct {
		e    bus.Event
		want int // zero: dead letter
	}{
		{event("1", full), 2},
		{event("1", old), 1},
		{event("1", `{}`), 0},
		{schema.WithNumber(event("1", full), 1), 1},
		{schema.WithNumber(event("1", old), 1), 1},
		{schema.WithNumber(event("1", old), 2), 0},
	} {
		got, err := handled(t, r, nil, c.e)
		if c.want == 0 {
			if got != nil || !consumer.IsPermanent(err) || !strings.Contains(err.Error(), "version 2") {
				t.Errorf("%d: %v, %v", i, got, err)
			}
			continue
		}
		if err != nil || got == nil {
			t.Fatalf("%d: %v", i, err)
		}
		if number, ok := schema.NumberOf(got); !ok || number != c.want {
			t.Errorf("%d: version %d, want %d", i, number, c.want)
		}
	}
}

func TestOlderVersionsAreUpcast(t *testing.T) {
	t.Parallel()
	s := memschema.New()
	none := &schema.AddOptions{Mode: schema.None}
	add(t, s, `{"properties":{"price":{"type":"number"}},"required":["price"]}`, none)
	add(t, s, withTotal, none)
	add(t, s, withCurrency, none)
	add(t, s, `{"properties":{"total":{},"currency":{},"note":{}}}`, none)
	type first struct {
		Price float64 `json:"price"`
	}
	type second struct {
		Total int `json:"total"`
	}
	toCents := schema.UpcastJSON(1, 2, func(v first) (second, error) {
		if v.Price < 0 {
			return second{}, errors.New("a negative price")
		}
		return second{int(v.Price * 100)}, nil
	})
	addCurrency := schema.Upcast(2, 3, func(data []byte) ([]byte, error) {
		return append(data[:len(data)-1:len(data)-1], `,"currency":"EUR"}`...), nil
	})
	o := &schema.MiddlewareOptions{Upcasters: []schema.Upcaster{addCurrency, toCents}}
	r := registry(t, s)
	for number, c := range map[int]struct {
		data, want string
		of         int
	}{
		1: {`{"price":1.5}`, `{"total":150,"currency":"EUR"}`, 3},
		2: {`{"total":7}`, `{"total":7,"currency":"EUR"}`, 3},
		3: {`{"total":7,"currency":"CHF"}`, `{"total":7,"currency":"CHF"}`, 3},
		4: {`{"note":"x"}`, `{"note":"x"}`, 4},
	} {
		e := schema.WithNumber(event("1", c.data), number)
		got, err := handled(t, r, o, e)
		if err != nil || string(got.Data) != c.want {
			t.Fatalf("version %d: %v, %v", number, got, err)
		}
		if of, _ := schema.NumberOf(got); of != c.of || got.ID != "1" {
			t.Errorf("version %d: the handler got version %d, want %d", number, of, c.of)
		}
		if string(e.Data) != c.data {
			t.Errorf("version %d: the event was changed: %s", number, e.Data)
		}
	}
	for data, want := range map[string]string{`{"price":-1}`: "upcast from version 1 to 2: a negative price", `{"price":"x"}`: "at /price"} {
		if got, err := handled(t, r, o, schema.WithNumber(event("1", data), 1)); got != nil || !consumer.IsPermanent(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", data, got, err, want)
		}
	}
	wrong := &schema.MiddlewareOptions{Upcasters: []schema.Upcaster{schema.Upcast(2, 3, func(data []byte) ([]byte, error) { return data, nil })}}
	if got, err := handled(t, r, wrong, schema.WithNumber(event("1", `{"total":7}`), 2)); got != nil || !consumer.IsPermanent(err) || !strings.Contains(err.Error(), `upcast from version 2: event violates its schema: order.placed, version 3, at /: missing "currency"`) {
		t.Errorf("an upcaster that makes nothing valid: %v, %v", got, err)
	}
}

func TestUpcastersOfOneType(t *testing.T) {
	t.Parallel()
	s := memschema.New()
	for _, of := range []schema.Subject{{Topic: "t", Type: "a"}, {Topic: "t", Type: "b"}} {
		for range 2 {
			if _, err := schema.Add(t.Context(), s, of, fmt.Appendf(nil, `{"title":"%d"}`, time.Now().UnixNano()), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	u := schema.Upcast(1, 2, func([]byte) ([]byte, error) { return []byte(`"a"`), nil })
	u.Type = "a"
	any2 := schema.Upcast(1, 2, func([]byte) ([]byte, error) { return []byte(`"any"`), nil })
	o := &schema.MiddlewareOptions{Upcasters: []schema.Upcaster{u, any2}}
	for eventType, want := range map[string]string{"a": `"a"`, "b": `"any"`} {
		e := schema.WithNumber(bus.Event{ID: "1", Topic: "t", Type: eventType, Data: []byte("1")}, 1)
		if got, err := handled(t, registry(t, s), o, e); err != nil || string(got.Data) != want {
			t.Errorf("%s: %v, %v", eventType, got, err)
		}
	}
}

func TestConsumerWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("gone")
		s := &failing{Store: memschema.New(), err: func() error { return away }}
		r := registry(t, s)
		if got, err := handled(t, r, nil, event("1", "{}")); got != nil || !consumer.IsUnavailable(err) || !errors.Is(err, schema.ErrAway) {
			t.Errorf("retry: %v, %v", got, err)
		}
		if got, err := handled(t, r, &schema.MiddlewareOptions{Away: schema.Refuse}, event("1", "{}")); got != nil || !consumer.IsPermanent(err) {
			t.Errorf("refuse: %v, %v", got, err)
		}
		if got, err := handled(t, r, &schema.MiddlewareOptions{Away: schema.Pass}, event("1", "{}")); got == nil || err != nil {
			t.Errorf("pass: %v, %v", got, err)
		}
		away = nil
		add(t, s.Store, withTotal, nil)
		time.Sleep(time.Minute)
		if _, err := handled(t, r, nil, event("1", `{"total":1}`)); err != nil {
			t.Error(err)
		}
		// A version that was added a moment ago is found without waiting for the next refresh.
		add(t, s.Store, withNote, nil)
		time.Sleep(time.Second)
		if got, err := handled(t, r, nil, schema.WithNumber(event("1", `{"total":1,"note":"x"}`), 2)); err != nil || got == nil {
			t.Errorf("a new version: %v", err)
		}
		calls := s.calls
		for range 100 {
			if got, err := handled(t, r, nil, schema.WithNumber(event("1", `{"total":1}`), 9)); got != nil || !consumer.IsUnavailable(err) || !errors.Is(err, schema.ErrNoSchema) {
				t.Errorf("a version that is not there yet: %v, %v", got, err)
			}
		}
		if s.calls > calls+1 {
			t.Errorf("it was looked for %d times at once", s.calls-calls)
		}
	})
}

func TestRequiredSchema(t *testing.T) {
	t.Parallel()
	r := registry(t, memschema.New())
	if got, err := handled(t, r, nil, event("1", "no JSON")); got == nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := handled(t, r, &schema.MiddlewareOptions{Require: true}, event("1", "{}")); got != nil || !consumer.IsPermanent(err) {
		t.Errorf("%v, %v", got, err)
	}
}

// Through a subscription: what violates its schema is a dead letter with the reason, and the
// handler never saw it.
func TestDeadLetterHasTheViolation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memschema.New()
		add(t, s, withTotal, nil)
		events, err := membus.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		store, err := memdedupe.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		check, err := schema.Middleware(registry(t, s), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := events.Publish(t.Context(), event("good", `{"total":1}`), event("bad", `{"total":null}`)); err != nil {
			t.Fatal(err)
		}
		ran := make(chan string, 2)
		sub, err := consumer.SubscribeExactlyOnce(t.Context(), events, "order.placed", "billing", store, func(_ context.Context, e bus.Event) error {
			ran <- e.ID
			return nil
		}, &consumer.Options{Use: []consumer.Middleware{check}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if err := sub.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := sub.Stats(); n.Handled != 1 || n.Dead != 1 || <-ran != "good" {
			t.Errorf("%+v", n)
		}
		var letters []consumer.Letter
		for stored, err := range events.Read(t.Context(), "dead.billing", bus.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			l, err := consumer.ParseLetter(stored.Event)
			if err != nil {
				t.Fatal(err)
			}
			letters = append(letters, *l)
		}
		if len(letters) != 1 || !strings.Contains(letters[0].Error, "at /total: it is null, want integer") {
			t.Errorf("%+v", letters)
		}
	})
}
