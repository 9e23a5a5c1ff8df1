package log

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/cloudevents"
)

// maxLoggedBytes is how much of an event's data is logged, in bytes.
const maxLoggedBytes = 1 << 10

// Options of New. The zero value means the defaults.
type Options struct {
	// Level of the records. Zero: slog.LevelInfo.
	Level slog.Level
	// Data: the first 1 KiB of the data is logged too. It may hold secrets, and what is logged is
	// often kept for longer and read by more people than events are.
	Data bool
}

// Handler is a handler that logs each event. Its methods are safe for concurrent use.
type Handler struct {
	handler slog.Handler
	o       Options
}

// New returns a handler that writes one record for each event, as the package says. A nil log
// means slog.Default().
func New(log *slog.Logger, o *Options) *Handler {
	return &Handler{handler: cmp.Or(log, slog.Default()).Handler(), o: *cmp.Or(o, &Options{})}
}

// Handle is a consumer.Handler. It fails if the record cannot be written, as far as the
// slog.Handler tells. Where the logger leaves the level out, the event is done without a record.
func (l *Handler) Handle(ctx context.Context, e bus.Event) error {
	if !l.handler.Enabled(ctx, l.o.Level) {
		return nil
	}
	r := slog.NewRecord(time.Now(), l.o.Level, "event", 0)
	r.AddAttrs(
		slog.String("topic", e.Topic), slog.String("id", e.ID),
		slog.String("source", cloudevents.SourceOf(&e)), slog.String("type", cloudevents.TypeOf(&e)),
		slog.String("key", e.Key), slog.String("content_type", e.ContentType),
		slog.Int("bytes", len(e.Data)), slog.Int("attempt", consumer.AttemptFrom(ctx).Number),
	)
	if !e.Time.IsZero() {
		r.AddAttrs(slog.Time("event_time", e.Time.UTC())) // "time" is the record's own
	}
	if l.o.Data {
		r.AddAttrs(dataAttr(e.Data))
	}
	if err := l.handler.Handle(ctx, r); err != nil {
		return consumer.Unavailable(fmt.Errorf("write the record: %w", err))
	}
	return nil
}

// dataAttr is the start of the data, as text where it is text.
func dataAttr(data []byte) slog.Attr {
	start := data[:min(len(data), maxLoggedBytes)]
	if !utf8.Valid(data) {
		return slog.String("data_base64", base64.StdEncoding.EncodeToString(start))
	}
	return slog.String("data", strings.ToValidUTF8(string(start), "")) // the cut may go through a character
}
