package export

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/internal/plaintext"
	"github.com/onceish/onceish/worker"
)

// What is sent to a receiver elsewhere without TLS is warned of, or refused by who is strict. The
// message has the variable, and nothing that is secret.
func TestPlaintextReceiversElsewhereAreWarnedOfOrRefused(t *testing.T) {
	const far = "http://u:c4n4ry@far.example:4318/c4n4ry?c4n4ry"
	for name, c := range map[string]struct {
		endpoint, own, insecure string
		plain                   bool
	}{
		"none":               {"", "", "", false},
		"this machine":       {"http://127.0.0.1:4318", "", "", false},
		"elsewhere":          {far, "", "", true},
		"TLS":                {"https://far.example", "", "", false},
		"own endpoint":       {"http://localhost:4318", far, "", true},
		"own endpoint's TLS": {far, "https://far.example/v1", "", false},
		"insecure":           {"https://far.example", "", "true", true},
		"not insecure":       {far, "", "false", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range []signal{metricsSignal, tracesSignal} {
				unsetStandard(t)
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.endpoint)
				t.Setenv("OTEL_EXPORTER_OTLP_"+s.name+"_ENDPOINT", c.own)
				t.Setenv("OTEL_EXPORTER_OTLP_INSECURE", c.insecure)
				text, log := newLog()
				if err := s.checkEndpoint(plaintext.Policy{Logger: log}); err != nil {
					t.Error(err)
				}
				if warned := text.String(); strings.Contains(warned, "not encrypted") != c.plain || strings.Contains(warned, canary) {
					t.Errorf("logged: %s", warned)
				}
				err := s.checkEndpoint(plaintext.Policy{Strict: true, Logger: log})
				if errors.Is(err, plaintext.ErrRefused) != c.plain || errors.Is(err, worker.ErrUsage) != c.plain {
					t.Errorf("strict: %v", err)
				}
				if c.plain && (strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "https:// in OTEL_EXPORTER_OTLP_") || !strings.Contains(err.Error(), s.what)) {
					t.Errorf("strict: %v", err)
				}
			}
		})
	}
}

// Both signals are refused before anything is made for them.
func TestStrictExportsRefusePlaintextReceivers(t *testing.T) {
	unsetStandard(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://far.example")
	o := &Options{Strict: true, Logger: slog.New(slog.DiscardHandler)}
	if _, err := OpenTraces(t.Context(), "billing", o); !errors.Is(err, plaintext.ErrRefused) {
		t.Errorf("traces: %v", err)
	}
	w, err := worker.New("billing", inMemory(t), nil)
	must(t, err)
	if _, err := AddMetrics(t.Context(), w, "127.0.0.1:0", o); !errors.Is(err, plaintext.ErrRefused) {
		t.Errorf("metrics: %v", err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://far.example")
	traces, err := OpenTraces(t.Context(), "billing", o)
	must(t, err)
	traces.Close(time.Minute)
}

// The SDK would log it, and send to this machine.
func TestEndpointsThatAreNoURLAreNotShown(t *testing.T) {
	for _, endpoint := range []string{"http://u:c4n4ry@h:x", "c4n4ry.example:4318", "//", "c4n4ry"} {
		unsetStandard(t)
		t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint)
		err := tracesSignal.checkEndpoint(plaintext.Policy{Logger: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, worker.ErrUsage) || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}
