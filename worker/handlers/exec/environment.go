package exec

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/cloudevents"
	"github.com/onceish/onceish/internal/tracecontext"
)

// maxVariableBytes is what Linux takes as one NAME=value, in bytes (MAX_ARG_STRLEN, with
// the final zero).
const maxVariableBytes = 128<<10 - 1

// secretVariables are variables of the worker that are none of its commands' business: what they
// print ends up in dead letters.
func secretVariables() []string {
	return []string{
		"NATS_URL", "NATS_CREDS", "NATS_NKEY", "NATS_KEY", "MONGODB_URI", "ONCEISH_ADMIN_TOKEN",
		"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
	}
}

// managerVariables are by which the service manager knows the worker: a command that used them
// would speak for it.
func managerVariables() []string {
	return []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
}

// withoutSecrets is env without what is the worker's alone: credentials, and its service manager.
func withoutSecrets(env []string) []string {
	own := slices.Concat(secretVariables(), managerVariables())
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(own, name)
	})
}

// eventEnvironment is what a command is told of an event. All variables are always set, so that
// none is inherited. What cannot be said in an environment is an error.
func eventEnvironment(ctx context.Context, e *bus.Event, group string) ([]string, error) {
	attempt := consumer.AttemptFrom(ctx)
	traceParent, traceState := tracecontext.From(e.Headers)
	env := make([]string, 0, 12)
	for _, v := range [...]struct{ name, value string }{
		{"CE_ID", e.ID},
		{"CE_SOURCE", cloudevents.SourceOf(e)},
		{"CE_TYPE", cloudevents.TypeOf(e)},
		{"CE_TIME", cloudevents.TimeOf(e)},
		{"TOPIC", e.Topic},
		{"GROUP", group},
		{"EVENT_KEY", e.Key},
		{"IDEMPOTENCY_KEY", attempt.IdempotencyKey},
		{"ATTEMPT", strconv.Itoa(attempt.Number)},
		{"TOKEN", strconv.FormatUint(attempt.Token, 10)},
		{"TRACEPARENT", traceParent},
		{"TRACESTATE", traceState},
	} {
		if i := strings.IndexByte(v.value, 0); i >= 0 {
			return nil, fmt.Errorf("%s has a NUL at byte %d, which no environment can hold: %.64q", v.name, i, v.value)
		}
		if n := len(v.name) + 1 + len(v.value); n > maxVariableBytes {
			return nil, fmt.Errorf("%s takes %d bytes of environment, which can hold %d: %.64q", v.name, n, maxVariableBytes, v.value)
		}
		env = append(env, v.name+"="+v.value)
	}
	return env, nil
}
