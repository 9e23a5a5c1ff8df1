package commandline

import (
	"io"
	"log/slog"
)

// Logger returns a logger with the format "text" or "json" and a level "debug", "info", "warn" or
// "error", which were checked before.
func Logger(w io.Writer, format, level string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // it was checked
	o := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
