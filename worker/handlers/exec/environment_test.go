package exec

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

func TestEnvironment(t *testing.T) {
	t.Parallel()
	ctx := consumer.WithAttempt(context.Background(), consumer.Attempt{Number: 2, Token: 1 << 63, IdempotencyKey: "i"})
	e := bus.Event{
		ID: "a\n'$(x)", Topic: "t", Key: "k=1", Type: "kind", Source: "s",
		Time:    time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)),
		Headers: bus.Headers{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "tracestate": {"a=1"}},
	}
	got, err := eventEnvironment(ctx, &e, "g")
	want := []string{
		"CE_ID=a\n'$(x)", "CE_SOURCE=s", "CE_TYPE=kind", "CE_TIME=2026-01-02T02:04:05.000000006Z", "TOPIC=t", "GROUP=g",
		"EVENT_KEY=k=1", "IDEMPOTENCY_KEY=i", "ATTEMPT=2", "TOKEN=9223372036854775808",
		"TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "TRACESTATE=a=1",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	got, err = eventEnvironment(context.Background(), &bus.Event{ID: "a", Topic: "t"}, "g")
	if err != nil || !slices.Contains(got, "CE_TYPE=t") || !slices.Contains(got, "CE_TIME=") || !slices.Contains(got, "CE_SOURCE=onceish") {
		t.Errorf("%q, %v: all variables must be set", got, err)
	}
}

func TestEnvironmentRefusesWhatItCannotHold(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]bus.Event{
		"EVENT_KEY has a NUL at byte 3": {ID: "a", Topic: "t", Key: "abc\x00d"},
		"CE_ID takes 131072 bytes":      {ID: strings.Repeat("x", maxVariableBytes-len("CE_ID=")+1), Topic: "t"},
	} {
		if env, err := eventEnvironment(context.Background(), &e, "g"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%d variables, %v, want %s", len(env), err, name)
		}
	}
}

// A publisher can put anything into a header. The command gets no trace context then, neither that
// header nor what the worker's own environment has.
func TestHostileTraceContextIsNoErrorOfTheEvent(t *testing.T) {
	t.Parallel()
	for _, h := range []bus.Headers{
		nil,
		{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\x00"}},
		{"traceparent": {strings.Repeat("x", 1<<20)}, "tracestate": {strings.Repeat("y", 1<<20)}},
		{"traceparent": {"a", "b"}, "TRACEPARENT": {"c"}},
	} {
		got, err := eventEnvironment(context.Background(), &bus.Event{ID: "a", Topic: "t", Headers: h}, "g")
		if err != nil || !slices.Contains(got, "TRACEPARENT=") || !slices.Contains(got, "TRACESTATE=") {
			t.Errorf("%d headers: %d variables, %v", len(h), len(got), err)
		}
	}
}

func TestCredentialsAreNotInherited(t *testing.T) {
	t.Parallel()
	env := []string{"OTEL_EXPORTER_OTLP_HEADERS=authorization=s", "PATH=/bin", "NATS_URL=nats://u:p@h", "MONGODB_URI=mongodb://u:p@h", "NATS_CREDS=f", "ONCEISH_ADMIN_TOKEN=t", "NOTIFY_SOCKET=/s", "WATCHDOG_USEC=1", "WATCHDOG_PID=1", "NATS_URL_NOT=x", "ODD"}
	if got, want := withoutSecrets(env), []string{"PATH=/bin", "NATS_URL_NOT=x", "ODD"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
