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
				if err := s.checkVariables(plaintext.Policy{Logger: log}); err != nil {
					t.Error(err)
				}
				if warned := text.String(); strings.Contains(warned, "not encrypted") != c.plain || strings.Contains(warned, canary) {
					t.Errorf("logged: %s", warned)
				}
				err := s.checkVariables(plaintext.Policy{Strict: true, Logger: log})
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

// TestWhatTheSDKWouldLogIsRefusedWithoutItsValue: it holds secrets as a rule.
func TestWhatTheSDKWouldLogIsRefusedWithoutItsValue(t *testing.T) {
	for _, c := range []struct {
		name, value string
		refused     bool
	}{
		{"ENDPOINT", "", false},
		{"ENDPOINT", "http://user:" + canary + "@127.0.0.1:4318/" + canary, false},
		{"ENDPOINT", "https://[::1]:4318", false},
		{"ENDPOINT", "h:4318", true},
		{"ENDPOINT", "//", true},
		{"ENDPOINT", canary, true},
		{"ENDPOINT", "ftp://h/" + canary, true},
		{"ENDPOINT", "http://user:" + canary + "@h:x", true},
		{"ENDPOINT", "http://user:" + canary + "%zz@h", true},
		{"HEADERS", " ", false},
		{"HEADERS", "authorization=Bearer%20" + canary + ", x-k = v=" + canary + ",e=", false},
		{"HEADERS", canary, true},
		{"HEADERS", "a=1," + canary, true},
		{"HEADERS", "a=1,", true},
		{"HEADERS", "a=%zz" + canary, true},
		{"HEADERS", "a b=" + canary, true},
		{"HEADERS", "=" + canary, true},
		{"HEADERS", "é=" + canary, true},
	} {
		for _, kind := range []string{"", "TRACES_"} {
			name := "OTEL_EXPORTER_OTLP_" + kind + c.name
			t.Run(name+"="+c.value, func(t *testing.T) {
				unsetStandard(t)
				t.Setenv(name, c.value)
				policy := plaintext.Policy{Logger: slog.New(slog.DiscardHandler)}
				err := tracesSignal.checkVariables(policy)
				if errors.Is(err, worker.ErrUsage) != c.refused {
					t.Fatalf("%v, want refused: %t", err, c.refused)
				}
				if err != nil && (!strings.Contains(err.Error(), name) || strings.Contains(err.Error(), canary)) {
					t.Error(err)
				}
				if err := metricsSignal.checkVariables(policy); (err != nil) != (c.refused && kind == "") {
					t.Errorf("metrics: %v", err)
				}
			})
		}
	}
}
