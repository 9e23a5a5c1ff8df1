package export

import (
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// maxQueuedSpans is how many spans may wait to be sent at most: room for them is made beforehand.
const maxQueuedSpans = 1 << 20

// maxBatchWait is the longest wait in milliseconds that is taken from the environment: an hour.
const maxBatchWait = 3_600_000

// batchOptions returns how spans are batched, as the environment says. The SDK takes every number
// from it as it is: it panics where a size is negative, is out of memory where one is huge, and
// never rests without a delay.
func batchOptions(log *slog.Logger) []sdktrace.BatchSpanProcessorOption {
	queue := readNumber(log, "OTEL_BSP_MAX_QUEUE_SIZE", sdktrace.DefaultMaxQueueSize, maxQueuedSpans)
	batch := readNumber(log, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", min(queue, sdktrace.DefaultMaxExportBatchSize), queue)
	delay := readNumber(log, "OTEL_BSP_SCHEDULE_DELAY", sdktrace.DefaultScheduleDelay, maxBatchWait)
	timeout := readNumber(log, "OTEL_BSP_EXPORT_TIMEOUT", sdktrace.DefaultExportTimeout, maxBatchWait)
	return []sdktrace.BatchSpanProcessorOption{
		sdktrace.WithMaxQueueSize(queue), sdktrace.WithMaxExportBatchSize(batch),
		sdktrace.WithBatchTimeout(time.Duration(delay) * time.Millisecond), sdktrace.WithExportTimeout(time.Duration(timeout) * time.Millisecond),
	}
}

// readNumber reads a variable, whose value is from 1 to most. Any other is logged, and standard is
// taken.
func readNumber(log *slog.Logger, variable string, standard, most int) int {
	text := strings.TrimSpace(os.Getenv(variable))
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		log.Warn("the variable is not a number within its bounds, so the default is taken", "variable", variable, "value", text, "least", 1, "most", most, "default", standard)
		return standard
	}
	return n
}
