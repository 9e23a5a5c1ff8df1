package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/faulty"
	"github.com/onceish/onceish/internal/testing/handlertest"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/outbox"
)

const target = "shipping.due"

// publisher keeps what is published, and answers as told.
type publisher struct {
	got    []bus.Event
	answer func(context.Context) error
}

func (p *publisher) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	p.got = append(p.got, events...)
	if p.answer == nil {
		return make([]bus.Receipt, len(events)), nil
	}
	return nil, p.answer(ctx)
}

func newPublish(t testing.TB, to bus.Publisher) *Handler {
	t.Helper()
	p, err := New(to, target)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPublishKeepsTheEvent(t *testing.T) {
	t.Parallel()
	to := &publisher{}
	e := handlertest.Placed()
	e.ID, e.Source, e.Key, e.Type, e.Time = "or der%17", "/shop", "customer", "placed", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e.Headers = bus.Headers{
		"traceparent": {"00-1-2-01"}, "X-Two": {"1", "2"}, "ce-tenant": {"t1"}, "X-Broken": {" a\r\nb "},
		bus.HeaderGroup: {"billing"}, "onceish-redriven": {"letter"}, "Onceish-Dead-Reason": {"no"}, "Nats-Msg-Id": {"m"},
		"CE-ID": {"forged"}, "ce-datacontenttype": {"x"}, "content-type": {"application/cloudevents+json"}, "a b": {"c"}, "": {"c"},
	}
	if err := newPublish(t, to).Handle(handlertest.Attempt(t, 1), e); err != nil {
		t.Fatal(err)
	}
	want := e
	want.ID, want.Topic, want.Source = "order.placed::billing::order-17", target, ""
	want.Headers = bus.Headers{
		"traceparent": {"00-1-2-01"}, "X-Two": {"1", "2"}, "ce-tenant": {"t1"}, "X-Broken": {"a  b"},
		"Onceish-Origin-Topic": {"order.placed"}, "Onceish-Origin-Id": {"or%20der%2517"}, "Onceish-Origin-Source": {"/shop"},
	}
	if got := fmt.Sprintf("%+v", to.got); got != fmt.Sprintf("%+v", []bus.Event{want}) {
		t.Errorf("published\n%s, want\n%+v", got, want)
	}
	to.got = nil
	if err := newPublish(t, to).Handle(handlertest.Attempt(t, 1), bus.Event{ID: "1", Topic: "order.placed"}); err != nil {
		t.Fatal(err)
	}
	if got := to.got[0]; got.Type != "order.placed" || got.Headers.Get(HeaderOriginSource) != bus.DefaultSource {
		t.Errorf("%+v", got)
	}
}

func TestPublishVerdicts(t *testing.T) {
	t.Parallel()
	for answer, want := range map[error]string{
		fmt.Errorf("x: %w", bus.ErrTooLarge):     handlertest.Permanent,
		fmt.Errorf("x: %w", bus.ErrInvalidEvent): handlertest.Permanent,
		fmt.Errorf("x: %w", bus.ErrRefused):      handlertest.Retry,
		bus.ErrNoStream:                          handlertest.Unavailable,
		bus.ErrUnavailable:                       handlertest.Unavailable,
		bus.ErrClosed:                            handlertest.Unavailable,
		context.DeadlineExceeded:                 handlertest.Unavailable,
		errors.New("time-out"):                   handlertest.Unavailable,
	} {
		p := newPublish(t, &publisher{answer: func(context.Context) error { return answer }})
		if err := p.Handle(handlertest.Attempt(t, 1), handlertest.Placed()); !errors.Is(err, answer) || handlertest.MeaningOf(err) != want {
			t.Errorf("%v: %s, want %s", err, handlertest.MeaningOf(err), want)
		}
	}
}

func TestPublishTellsWhyItWasStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(handlertest.Attempt(t, 1))
	p := newPublish(t, &publisher{answer: func(ctx context.Context) error {
		cancel(consumer.ErrLeaseLost)
		return ctx.Err()
	}})
	if err := p.Handle(ctx, handlertest.Placed()); !errors.Is(err, consumer.ErrLeaseLost) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// transaction is an outbox that adds only in the transaction that its context names.
type transaction struct{ added []bus.Event }

type transactionKey struct{}

func (o *transaction) Add(ctx context.Context, events ...bus.Event) ([]string, error) {
	if ctx.Value(transactionKey{}) == nil {
		return nil, errors.New("there is no transaction")
	}
	o.added = append(o.added, events...)
	return []string{events[0].ID}, nil
}

// What is published by way of an outbox in mode transactional is added in the transaction that
// marks the event.
func TestPublishTransactedAddsInTheTransaction(t *testing.T) {
	t.Parallel()
	to := &transaction{}
	p, err := NewTransacted(to, target)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Handle(context.WithValue(handlertest.Attempt(t, 1), transactionKey{}, true), handlertest.Placed()); err != nil || len(to.added) != 1 || to.added[0].Topic != target {
		t.Errorf("%v, %v", to.added, err)
	}
	if _, err := NewTransacted(nil, target); err == nil {
		t.Error("published to nil")
	}
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	to := &publisher{}
	p := newPublish(t, to)
	if err := p.Handle(t.Context(), handlertest.Placed()); !errors.Is(err, consumer.ErrNoAttempt) {
		t.Errorf("without an attempt: %v", err)
	}
	e := handlertest.Placed()
	e.Topic = target
	if err := p.Handle(handlertest.Attempt(t, 1), e); !consumer.IsPermanent(err) || !strings.Contains(err.Error(), "already") {
		t.Errorf("what is there already: %v", err)
	}
	if len(to.got) > 0 {
		t.Errorf("published %v", to.got)
	}
	for topic, want := range map[string]string{"": "empty", "a.*": "wildcard", "a b": "space"} {
		if _, err := New(to, topic); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", topic, err, want)
		}
	}
	if _, err := New(nil, target); err == nil {
		t.Error("published to nil")
	}
}

// FuzzSuccessor: different events of different groups get different ids, and one event
// always the same.
func FuzzSuccessor(f *testing.F) {
	f.Add("a", "b", "c", "a::b", "", "c")
	p := &Handler{topic: target}
	f.Fuzz(func(t *testing.T, topic1, group1, id1, topic2, group2, id2 string) {
		one := consumer.Attempt{Key: dedupe.Key{Topic: topic1, Group: group1, ID: id1}}
		two := consumer.Attempt{Key: dedupe.Key{Topic: topic2, Group: group2, ID: id2}, Number: 2}
		a, b := p.derivedEvent(&bus.Event{}, &one), p.derivedEvent(&bus.Event{}, &two)
		if (a.ID == b.ID) != (one.Key == two.Key) || a.ID == "" {
			t.Errorf("%q and %q: %q and %q", one.Key, two.Key, a.ID, b.ID)
		}
	})
}

// TestPublishOnceThoughConfirmationsAreLost: the first two publications are stored, and answered
// with an error.
func TestPublishOnceThoughConfirmationsAreLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, err := membus.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		publishOnce(t, b, bustest.Faulty(b, lostTwice()), 3)
	})
}

func TestPublishOnceOnJetStream(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	b, err := natsbus.New(nc, &natsbus.Options{Provision: &natsbus.Provision{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, topic := range []string{handlertest.Placed().Topic, target, "dead.billing"} {
		if err := b.Provision(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
	}
	// What is read from the wire can be published again, whatever its mode.
	if err := nc.PublishMsg(&nats.Msg{
		Subject: handlertest.Placed().Topic,
		Header:  nats.Header{"Content-Type": {"application/cloudevents+json"}, "traceparent": {"00-1-2-01"}, "Onceish-Group": {"billing"}},
		Data:    []byte(`{"specversion":"1.0","id":"structured","source":"s","type":"t","tenant":"1","data":{"a":1}}`),
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishMsg(&nats.Msg{
		Subject: handlertest.Placed().Topic, Header: nats.Header{"Nats-Msg-Id": {"plain"}, "Content-Type": {"text/plain"}, "Nats-Stream": {"from"}, "X": {"y"}},
	}); err != nil {
		t.Fatal(err)
	}
	got := publishOnce(t, b, bustest.Faulty(b, lostTwice()), 5)
	for _, want := range []string{"{s}structured", "plain"} {
		id := strings.NewReplacer("%", "%25", ":", "%3A").Replace(want)
		e, ok := got["order.placed::billing::"+id]
		if !ok || e.Headers.Get(bus.HeaderGroup) != "" || e.Headers.Get("Nats-Stream") != "" {
			t.Errorf("%s: %+v in %+v", want, e, got)
		}
	}
}

// lostTwice loses the confirmations of the first two publications of a handler.
func lostTwice() faulty.Plan {
	var published atomic.Int64
	return func(c faulty.Call) (f faulty.Fault) {
		if c == faulty.Publish && published.Add(1) <= 2 {
			f.After = errors.New("the confirmation is lost")
		}
		return f
	}
}

// publishOnce has so many events of a topic, the last three its own, published to another, and
// returns what is there.
func publishOnce(t *testing.T, b bus.Bus, to bus.Publisher, events int) map[string]bus.Event {
	t.Helper()
	store, err := memdedupe.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	last := make(handlertest.Finished, events)
	sub, err := consumer.SubscribeExactlyOnce(t.Context(), b, handlertest.Placed().Topic, "billing", store, newPublish(t, to).Handle, &consumer.Options{
		Backoff: consumer.Backoff{Base: time.Millisecond, Max: time.Millisecond}, Logger: slog.New(slog.DiscardHandler), Observer: last,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		e := handlertest.Placed()
		e.ID = fmt.Sprint(i)
		if _, err := b.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for range events {
		if outcome := <-last; outcome != "handled" {
			t.Error(outcome)
		}
	}
	if err := sub.Drain(context.Background()); err != nil {
		t.Error(err)
	}
	there, err := b.Subscribe(t.Context(), target, "shipping", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]bus.Event)
	all := drained(t, there)
	for i := range all {
		got[all[i].ID] = all[i]
	}
	if len(all) != events || len(got) != events {
		t.Errorf("%d events with %d ids, want %d", len(all), len(got), events)
	}
	return got
}

// drained takes all events that a new group is given, and ends the source.
func drained(t *testing.T, s bus.Source) (events []bus.Event) {
	t.Helper()
	for {
		info, err := s.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.Pending == 0 && info.Unsettled == 0 {
			break
		}
		ds, err := s.Fetch(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			events = append(events, d.Event)
			if err := d.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return events
}

// adder is an outbox that answers as told.
type adder struct {
	got []bus.Event
	err error
}

func (a *adder) AddAlone(_ context.Context, events ...bus.Event) ([]string, error) {
	a.got = append(a.got, events...)
	return []string{events[0].ID}, a.err
}

// By way of the outbox the same event is published as without.
func TestPublishByWayOfTheOutbox(t *testing.T) {
	t.Parallel()
	to, rows := &publisher{}, &adder{}
	through, err := NewOutbox(rows, target)
	if err != nil {
		t.Fatal(err)
	}
	e := handlertest.Placed()
	for _, h := range []consumer.Handler{newPublish(t, to).Handle, through.Handle} {
		if err := h(handlertest.Attempt(t, 1), e); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(to.got, rows.got) || len(rows.got) != 1 {
		t.Errorf("%+v\n%+v", to.got, rows.got)
	}
}

func TestPublishTellsWhatTheOutboxAnswers(t *testing.T) {
	t.Parallel()
	for answer, want := range map[error]string{
		outbox.ErrExists: handlertest.Permanent, bus.ErrTooLarge: handlertest.Permanent, bus.ErrInvalidEvent: handlertest.Permanent, io.ErrUnexpectedEOF: handlertest.Unavailable,
	} {
		p, err := NewOutbox(&adder{err: answer}, target)
		if err != nil {
			t.Fatal(err)
		}
		e := handlertest.Placed()
		if err := p.Handle(handlertest.Attempt(t, 1), e); !errors.Is(err, answer) || handlertest.MeaningOf(err) != want {
			t.Errorf("%v: %s, want %s", err, handlertest.MeaningOf(err), want)
		}
	}
	if _, err := NewOutbox(nil, target); err == nil {
		t.Error("made without an outbox")
	}
	if _, err := NewOutbox(&adder{}, "a.*"); err == nil {
		t.Error("made for a pattern")
	}
}
