package telemetry_test

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deadletter"
)

func TestRunIsAChildOfThePublisher(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		var inside trace.SpanContext
		var carried string
		r.subscribe("order.*", "billing", func(ctx context.Context, e bus.Event) error {
			inside, carried = trace.SpanContextFromContext(ctx), e.Headers.Get("traceparent")
			return nil
		}, consumer.Options{})
		checkout := r.shop(order("17"))
		r.settle()
		send, process, settle := r.one("send order.placed"), r.one("process order.*"), r.one("settle order.*")
		r.isChild(send, checkout)
		r.isChild(process, send.SpanContext())
		r.isChild(settle, process.SpanContext())
		if send.SpanKind() != trace.SpanKindProducer || process.SpanKind() != trace.SpanKindConsumer || settle.SpanKind() != trace.SpanKindClient {
			t.Errorf("kinds %v, %v, %v", send.SpanKind(), process.SpanKind(), settle.SpanKind())
		}
		wantAttributes(t, process, map[string]string{
			"messaging.system": "nats", "messaging.operation.name": "process", "messaging.operation.type": "process",
			"messaging.destination.template": "order.*", "messaging.destination.name": "order.placed", "messaging.consumer.group.name": "billing",
			"messaging.message.id": "17", "messaging.message.body.size": "11", "onceish.attempt": "1",
		})
		wantAttributes(t, send, map[string]string{"messaging.destination.name": "order.placed", "messaging.message.id": "17", "messaging.operation.type": "send"})
		wantAttributes(t, settle, map[string]string{"onceish.outcome": "handled", "messaging.operation.type": "settle"})
		wantStatus(t, process, codes.Unset)
		if !inside.Equal(process.SpanContext()) || !strings.Contains(carried, process.SpanContext().SpanID().String()) {
			t.Errorf("the handler has %v in its context and %q on the event, want %v", inside, carried, process.SpanContext())
		}
		if receive := r.named("receive order.*"); len(receive) != 1 || receive[0].SpanKind() != trace.SpanKindClient || receive[0].Parent().IsValid() {
			t.Errorf("spans %v, want one that receives, a trace of its own", r.names())
		}
	})
}

// Retries come when the trace of the publisher may be over: they are traces of their own, linked to
// it and to the run before. None but the last leaves an error behind.
func TestRetriesAreLinked(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		r.subscribe("order.placed", "billing", failing(2), consumer.Options{})
		r.shop(order("1"))
		r.settle()
		send, runs := r.one("send order.placed"), r.named("process order.placed")
		if len(runs) != 3 {
			t.Fatalf("%d runs, want 3", len(runs))
		}
		r.isChild(runs[0], send.SpanContext())
		for i, run := range runs[1:] {
			if run.Parent().IsValid() || run.SpanContext().TraceID() == send.SpanContext().TraceID() {
				t.Errorf("run %d is part of the publisher's trace", i+2)
			}
			want := map[string]trace.SpanID{"publisher": send.SpanContext().SpanID(), "previous attempt": runs[i].SpanContext().SpanID()}
			if got := linksOf(run); len(got) != 2 || got["publisher"] != want["publisher"] || got["previous attempt"] != want["previous attempt"] {
				t.Errorf("run %d has links %v, want %v", i+2, got, want)
			}
		}
		for i, run := range runs[:2] {
			wantStatus(t, run, codes.Unset)
			if es := run.Events(); len(es) != 1 || es[0].Name != "exception" || !strings.Contains(attributesOf(es[0].Attributes)["exception.message"], errShop.Error()) {
				t.Errorf("run %d has events %v, want its error", i+1, es)
			}
		}
	})
}

func TestOnlyWhatIsGivenUpIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		handler consumer.Handler
		options consumer.Options
		runs    int
	}{
		"permanent":     {func(context.Context, bus.Event) error { return consumer.Permanent(errShop) }, consumer.Options{}, 1},
		"last attempt":  {failing(9), consumer.Options{MaxAttempts: 3}, 3},
		"panic":         {func(context.Context, bus.Event) error { panic("no") }, consumer.Options{MaxAttempts: 2}, 2},
		"first attempt": {failing(9), consumer.Options{MaxAttempts: 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *traceRig) {
				r.subscribe("order.placed", "billing", c.handler, c.options)
				r.shop(order("1"))
				r.settle()
				runs, settles := r.named("process order.placed"), r.named("settle order.placed")
				if len(runs) != c.runs || len(settles) != c.runs {
					t.Fatalf("%d runs and %d answers, want %d", len(runs), len(settles), c.runs)
				}
				for i := range runs {
					want := codes.Unset
					if i == c.runs-1 {
						want = codes.Error
					}
					wantStatus(t, runs[i], want)
					wantStatus(t, settles[i], want)
				}
				wantAttributes(t, settles[c.runs-1], map[string]string{"onceish.outcome": "dead"})
			})
		})
	}
}

// That a throttled event is given up shows only when it is answered.
func TestThrottledEventIsAnErrorOnceGivenUp(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		r.subscribe("order.placed", "billing", func(context.Context, bus.Event) error {
			return consumer.Throttled(time.Minute, errShop)
		}, consumer.Options{MaxAttempts: 1, GiveUp: 10 * time.Minute})
		r.shop(order("1"))
		r.settle()
		for _, run := range r.named("process order.placed") {
			wantStatus(t, run, codes.Unset)
			wantAttributes(t, run, map[string]string{"error.type": "throttled"})
		}
		settles := r.named("settle order.placed")
		for _, s := range settles[:len(settles)-1] {
			wantStatus(t, s, codes.Unset)
		}
		wantStatus(t, settles[len(settles)-1], codes.Error)
	})
}

func TestSnoozeIsNoError(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		first := true
		r.subscribe("order.placed", "billing", func(context.Context, bus.Event) error {
			if first {
				first = false
				return consumer.Snooze(time.Minute)
			}
			return nil
		}, consumer.Options{MaxAttempts: 1})
		r.shop(order("1"))
		r.settle()
		runs := r.named("process order.placed")
		if len(runs) != 2 {
			t.Fatalf("%d runs, want 2", len(runs))
		}
		wantStatus(t, runs[0], codes.Unset)
		if runs[1].Parent().IsValid() || linksOf(runs[1])["previous attempt"] != runs[0].SpanContext().SpanID() {
			t.Error("the run after a snooze is not linked to the one before")
		}
	})
}

func TestDuplicatesHaveNoSpan(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		s := r.subscribe("order.placed", "billing", func(context.Context, bus.Event) error { return nil }, consumer.Options{})
		for range 5 {
			r.shop(order("1").WithControl(bus.Control{Copy: time.Now().String()}))
			r.settle()
		}
		if n := s.Stats().Duplicates; n != 4 {
			t.Fatalf("%d duplicates, want 4", n)
		}
		if p, s := len(r.named("process order.placed")), len(r.named("settle order.placed")); p != 1 || s != 1 {
			t.Errorf("%d runs and %d answers have spans, want 1: %v", p, s, r.names())
		}
	})
}

func TestRedrivenLetterLinksBack(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		open := false
		r.subscribe("order.placed", "billing", func(context.Context, bus.Event) error {
			if !open {
				return consumer.Permanent(errShop)
			}
			return nil
		}, consumer.Options{})
		r.shop(order("1"))
		r.settle()
		open = true
		letters, err := deadletter.OpenTopic(r.bus, "dead.billing")
		must(t, err)
		redriven, err := letters.RedriveAll(r.t.Context(), r.store, deadletter.Filter{}, nil)
		must(t, err)
		r.settle()
		send, runs := r.one("send order.placed"), r.named("process order.placed")
		if len(runs) != 2 {
			t.Fatalf("%d runs after %+v, want 2", len(runs), redriven)
		}
		if runs[1].Parent().IsValid() {
			t.Error("the run of what was redriven is part of the old trace")
		}
		if links := linksOf(runs[1]); links["publisher"] != send.SpanContext().SpanID() || links["previous attempt"] != runs[0].SpanContext().SpanID() {
			t.Errorf("links %v, want to the publisher and the run that gave up", links)
		}
	})
}

// A publisher can put anything into a header. It never gets an event refused or retried, and
// makes no span that cannot be sent.
func TestHostileHeadersAreNoErrorOfTheEvent(t *testing.T) {
	valid := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	inBubble(t, func(r *traceRig) {
		handled := 0
		r.subscribe("order.placed", "billing", func(_ context.Context, e bus.Event) error {
			handled++
			if len(e.Headers["traceparent"]) != 1 || len(e.Headers["TRACEPARENT"]) != 0 {
				t.Errorf("the handler is shown %v", e.Headers)
			}
			return nil
		}, consumer.Options{})
		hostile := []bus.Headers{
			{"traceparent": {valid, valid}},
			{"traceparent": {valid}, "TRACEPARENT": {valid}},
			{"traceparent": {strings.Repeat("0", 60_000)}},
			{"traceparent": {valid[:54]}, "tracestate": {"a=1"}},
			{"traceparent": {""}},
			{"Tracestate": {strings.Repeat("a=1,", 10_000)}},
			{"traceparent": {}},
		}
		for i, h := range hostile {
			e := order(strings.Repeat("\xff", i+1))
			e.Headers = h
			_, err := r.bus.Publish(r.t.Context(), e)
			must(t, err)
		}
		r.settle()
		runs := r.named("process order.placed")
		if handled != len(hostile) || len(runs) != len(hostile) {
			t.Fatalf("%d handled and %d runs, want %d", handled, len(runs), len(hostile))
		}
		for _, run := range runs {
			if run.Parent().IsValid() || len(run.Links()) > 0 {
				t.Errorf("a run is a child of %v, with links %v", run.Parent(), run.Links())
			}
			if id := attributesOf(run.Attributes())["messaging.message.id"]; !utf8.ValidString(id) {
				t.Errorf("the id %q cannot be sent", id)
			}
		}
	})
}

func TestHugeTextsAreCut(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		r.subscribe("order.placed", "billing", func(context.Context, bus.Event) error {
			return consumer.Permanent(&hugeError{})
		}, consumer.Options{})
		r.shop(order(strings.Repeat("x", 10_000)))
		r.settle()
		for _, s := range r.spans.Ended() {
			texts := attributesOf(s.Attributes())
			for _, e := range s.Events() {
				for k, v := range attributesOf(e.Attributes) {
					texts[e.Name+" "+k] = v
				}
			}
			texts["status"] = s.Status().Description
			for k, v := range texts {
				if len(v) > 1100 || !utf8.ValidString(v) {
					t.Errorf("%q: %s has %d bytes", s.Name(), k, len(v))
				}
			}
		}
	})
}

// hugeError has a text that is long, and not UTF-8.
type hugeError struct{}

// Error implements error.
func (*hugeError) Error() string { return strings.Repeat("\xffno", 1<<14) }

func TestWhatIsNotSampledStaysSo(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		var carried string
		r.subscribe("order.placed", "billing", func(_ context.Context, e bus.Event) error {
			carried = e.Headers.Get("traceparent")
			return nil
		}, consumer.Options{})
		e := order("1")
		e.Headers = bus.Headers{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}}
		_, err := r.bus.Publish(r.t.Context(), e)
		must(t, err)
		r.settle()
		if len(r.named("process order.placed")) > 0 {
			t.Error("a run was sampled whose publisher was not")
		}
		if !strings.HasPrefix(carried, "00-0af7651916cd43dd8448eb211c80319c-") || !strings.HasSuffix(carried, "-00") {
			t.Errorf("the event carries %q, want the trace of the publisher, not sampled", carried)
		}
	})
}

func TestSpansHaveNoPayloadsKeysOrHeaders(t *testing.T) {
	const canary = "c4n4ry"
	inBubble(t, func(r *traceRig) {
		r.subscribe("order.placed", "billing", failing(2), consumer.Options{})
		e := order("1")
		e.Key, e.Data, e.Headers = canary+"-key", []byte(canary), bus.Headers{"Authorization": {canary}, "baggage": {"k=" + canary}}
		r.shop(e)
		r.settle()
		if len(r.named("process order.placed")) != 3 {
			t.Fatalf("spans %v", r.names())
		}
		for _, s := range r.spans.Ended() {
			wantNoCanary(t, s, canary)
		}
	})
}

func TestRunWithoutASubscriptionIsTraced(t *testing.T) {
	t.Parallel()
	r := newTraceRig(t)
	o := &consumer.Options{}
	r.traces.Subscription("order.placed", "billing", o)
	must(t, o.Use[0](func(context.Context, bus.Event) error { return nil })(t.Context(), order("1")))
	r.one("process order.placed")
}

func TestUsersObserverIsToldToo(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		seen := &outcomes{}
		r.subscribe("order.placed", "billing", func(context.Context, bus.Event) error { return nil }, consumer.Options{Observer: seen})
		r.shop(order("1"))
		r.settle()
		if seen.seen[consumer.OutcomeHandled] != 1 {
			t.Errorf("the user's observer was told of %v, want 1 that was handled", seen.seen)
		}
	})
}

// What is replayed or redriven may have been published long ago, and have run in another process.
func TestCopyOnPurposeIsATraceOfItsOwn(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		r.subscribe("order.placed", "billing", func(context.Context, bus.Event) error { return nil }, consumer.Options{})
		e := order("1")
		e.Headers = bus.Headers{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
		_, err := r.bus.Publish(r.t.Context(), e.WithControl(bus.Control{Copy: "replay"}))
		must(t, err)
		r.settle()
		run := r.one("process order.placed")
		if run.Parent().IsValid() || linksOf(run)["publisher"].String() != "b7ad6b7169203331" {
			t.Errorf("the run is beneath %v with links %v, want a link to the publisher alone", run.Parent(), linksOf(run))
		}
	})
}

// A copy of an event that waits for its next attempt is held. Nothing has run for it.
func TestHeldCopiesHaveNoSpan(t *testing.T) {
	inBubble(t, func(r *traceRig) {
		held := &outcomes{}
		r.subscribe("order.placed", "billing", func(ctx context.Context, _ bus.Event) error {
			if consumer.AttemptFrom(ctx).Number == 1 {
				return consumer.RetryAfter(10*time.Minute, errShop)
			}
			return nil
		}, consumer.Options{Observer: held})
		r.shop(order("1"))
		time.Sleep(time.Minute)
		r.shop(order("1").WithControl(bus.Control{Copy: "1"}))
		r.settle()
		if held.seen[consumer.OutcomeHeld] == 0 {
			t.Fatalf("outcomes %v: no copy was held", held.seen)
		}
		if runs, settles := len(r.named("process order.placed")), len(r.named("settle order.placed")); runs != 2 || settles != 2 {
			t.Errorf("%d runs and %d answers have spans, want 2: outcomes %v", runs, settles, held.seen)
		}
	})
}

// outcomes counts how deliveries ended.
type outcomes struct{ seen map[consumer.Outcome]int }

// Observe implements consumer.Observer.
func (o *outcomes) Observe(n consumer.Observation) {
	if o.seen == nil {
		o.seen = make(map[consumer.Outcome]int)
	}
	o.seen[n.Outcome]++
}
