package export

import (
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// TestBatchesAreBounded: no number ends the process, or has it work without rest.
func TestBatchesAreBounded(t *testing.T) {
	standard := sdktrace.BatchSpanProcessorOptions{
		MaxQueueSize: 2048, MaxExportBatchSize: 512, BatchTimeout: 5 * time.Second, ExportTimeout: 30 * time.Second,
	}
	for variable, change := range map[string]func(*sdktrace.BatchSpanProcessorOptions){
		"OTEL_BSP_MAX_QUEUE_SIZE":        func(o *sdktrace.BatchSpanProcessorOptions) { o.MaxQueueSize, o.MaxExportBatchSize = 7, 7 },
		"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": func(o *sdktrace.BatchSpanProcessorOptions) { o.MaxExportBatchSize = 7 },
		"OTEL_BSP_SCHEDULE_DELAY":        func(o *sdktrace.BatchSpanProcessorOptions) { o.BatchTimeout = 7 * time.Millisecond },
		"OTEL_BSP_EXPORT_TIMEOUT":        func(o *sdktrace.BatchSpanProcessorOptions) { o.ExportTimeout = 7 * time.Millisecond },
	} {
		for _, value := range []string{"", "7", " 7 ", "0", "-5", "999999999999", "99999999999999999999", "many"} {
			t.Run(variable+"="+value, func(t *testing.T) {
				t.Setenv(variable, value)
				text, log := newLog()
				want, isLogged := standard, true
				switch strings.TrimSpace(value) {
				case "7":
					change(&want)
					isLogged = false
				case "":
					isLogged = false
				}
				var got sdktrace.BatchSpanProcessorOptions
				for _, apply := range batchOptions(log) {
					apply(&got)
				}
				if got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
				if strings.Contains(text.String(), variable) != isLogged {
					t.Errorf("logged %q", text)
				}
				open(t, log).Close(time.Second)
			})
		}
	}
}
