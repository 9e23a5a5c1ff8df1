package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/replay"
)

type exportInput struct {
	Topic  string `query:"topic" required:"true" doc:"topic or pattern; a pattern must lie in one stream" example:"order.placed"`
	FromTS string `query:"fromTs" doc:"begin at the first event that was stored at or after this time; empty: at the earliest"`
	ToTS   string `query:"toTs" doc:"end before the first event that was stored at or after this time; empty: at the end of the stream as it is now"`
	NDJSON bool   `query:"ndjson" default:"true" doc:"1: one event per line, as worker export writes them and worker import reads them; 0: a JSON array"`
}

// Trailers of an export.
const (
	trailerEvents     = "Onceish-Events"
	trailerNext       = "Onceish-Next"
	trailerIncomplete = "Onceish-Incomplete"
)

func (a *API) registerExport() {
	op := reading("export-events", "/v1/export", tagEvents, "Export stored events",
		fmt.Sprintf("All events of a topic in a range, with their data and headers, the oldest first, as a stream. No group notices it. The trailers %s and %s say how many "+
			"there were, and from which position a later export goes on; %s says what is missing, for example because the stream dropped it. An answer that ends "+
			"without its end was cut off: begin again.", trailerEvents, trailerNext, trailerIncomplete),
		http.StatusNotFound, http.StatusNotImplemented)
	op.Responses = map[string]*huma.Response{"200": {
		Description: "the events", Content: map[string]*huma.MediaType{"application/x-ndjson": {}, "application/json": {}},
	}}
	register(a, op, a.exportEvents)
	op.OperationID, op.Path, op.Hidden = "export-events-alias", "/export", true
	register(a, op, a.exportEvents)
}

func (a *API) exportEvents(_ context.Context, in *exportInput) (*huma.StreamResponse, error) {
	r, err := in.parse(time.Now())
	if err != nil {
		return nil, err
	}
	reader, err := a.reader()
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		e := &export{in: in, ctx: ctx}
		n, err := replay.Export(ctx.Context(), reader, in.Topic, r, e, &replay.ExportOptions{})
		e.finish(n, err)
	}}, nil
}

func (in *exportInput) parse(now time.Time) (r bus.Range, err error) {
	if err := checkPattern(in.Topic); err != nil {
		return r, err
	}
	r.Partitions = true
	var from, to error
	r.From.Time, from = parseTime("fromTs", in.FromTS, now)
	r.Until.Time, to = parseTime("toTs", in.ToTS, now)
	if err := errors.Join(from, to); err != nil {
		return r, err
	}
	if !r.From.Time.IsZero() && !r.Until.Time.IsZero() && r.Until.Time.Before(r.From.Time) {
		return r, fmt.Errorf("%w: fromTs is after toTs", errInvalid)
	}
	return r, nil
}

// export is an answer that is written as it is read.
type export struct {
	in    *exportInput
	ctx   huma.Context
	begun bool
}

// begin sends the status and the headers, once.
func (e *export) begin() {
	if e.begun {
		return
	}
	e.begun = true
	for _, name := range []string{trailerEvents, trailerNext, trailerIncomplete} {
		e.ctx.AppendHeader("Trailer", name)
	}
	if e.in.NDJSON {
		e.ctx.SetHeader("Content-Type", "application/x-ndjson")
	} else {
		e.ctx.SetHeader("Content-Type", "application/json")
	}
	e.ctx.SetStatus(http.StatusOK)
}

// Write takes whole lines.
func (e *export) Write(lines []byte) (int, error) {
	first := !e.begun
	e.begin()
	if e.in.NDJSON {
		return e.ctx.BodyWriter().Write(lines)
	}
	separator := byte(',')
	if first {
		separator = '['
	}
	out := make([]byte, 0, len(lines)+1)
	out = append(out, separator)
	for i, b := range lines {
		if b == '\n' && i < len(lines)-1 {
			out = append(out, ',')
		}
		out = append(out, b)
	}
	if _, err := e.ctx.BodyWriter().Write(out); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// finish ends the answer. What failed before anything was sent is a problem; what failed later ends
// the connection, so that nobody takes a part for the whole.
func (e *export) finish(n replay.Exported, err error) {
	incomplete := errors.Is(err, replay.ErrIncomplete)
	if err != nil && !incomplete {
		if e.begun {
			panic(http.ErrAbortHandler)
		}
		e.writeProblem(err)
		return
	}
	empty := !e.begun
	e.begin()
	if !e.in.NDJSON {
		end := "]\n"
		if empty {
			end = "[]\n"
		}
		_, _ = io.WriteString(e.ctx.BodyWriter(), end) // nobody else to tell
	}
	e.ctx.SetHeader(trailerEvents, strconv.Itoa(n.Events))
	e.ctx.SetHeader(trailerNext, n.Last.String())
	if incomplete {
		e.ctx.SetHeader(trailerIncomplete, fmt.Sprintf("%d events were dropped, and %d cannot be written", n.Dropped, n.Unwritten))
	}
}

func (e *export) writeProblem(err error) {
	p, ok := errors.AsType[*huma.ErrorModel](problemOf(e.ctx.Context(), err))
	if !ok {
		p = newProblem(http.StatusInternalServerError, err.Error())
	}
	writeProblem(&contextWriter{e.ctx, http.Header{}}, p.Status, p.Detail)
}

// contextWriter is a response of huma as one of net/http.
type contextWriter struct {
	ctx    huma.Context
	header http.Header
}

// Header implements http.ResponseWriter.
func (c *contextWriter) Header() http.Header { return c.header }

// WriteHeader implements http.ResponseWriter.
func (c *contextWriter) WriteHeader(status int) {
	for name := range c.header {
		c.ctx.SetHeader(name, c.header.Get(name))
	}
	c.ctx.SetStatus(status)
}

// Write implements http.ResponseWriter.
func (c *contextWriter) Write(p []byte) (int, error) { return c.ctx.BodyWriter().Write(p) }
