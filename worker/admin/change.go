package admin

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Why says who makes a change, and why, for the log.
type Why struct {
	Reason string `query:"reason" json:"reason" required:"true" minLength:"1" maxLength:"1024" doc:"why, for the log"`
	By     string `query:"by" json:"by,omitempty" maxLength:"256" doc:"who asks, for the log; empty: the name in the client's certificate, or its address"`
}

// changing is the input of an operation that changes something.
type changing interface {
	// target says what is to be changed.
	target() string
	why() *Why
}

func (w *Why) why() *Why { return w }

// registerChange adds an operation that changes something. It is logged, whatever becomes of it.
func registerChange[I, O any, P interface {
	*I
	changing
}](a *API, op huma.Operation, do func(context.Context, *I) (*O, error)) {
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		c, w := callerFrom(ctx), P(in).why()
		w.By = c.by(w.By)
		out, err := do(ctx, in)
		record := []any{"change", op.OperationID, "target", P(in).target(), "by", w.By, "why", w.Reason, "from", c.remote}
		if err != nil {
			a.o.Logger.Log(ctx, slog.LevelWarn, "admin change failed", append(record, "error", err)...)
			return nil, problemOf(ctx, err)
		}
		a.o.Logger.Log(ctx, slog.LevelInfo, "admin change", append(record, "result", "done")...)
		return out, nil
	})
}

// changingBy describes an operation that changes something.
func changingBy(method, id, path, tag, summary, description string, problems ...int) huma.Operation {
	op := reading(id, path, tag, summary, description, append(problems, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
		http.StatusRequestEntityTooLarge)...)
	op.Method, op.MaxBodyBytes = method, maxBody
	op.Parameters = []*huma.Param{{
		Name: idempotencyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString},
		Description: "makes the request safe to repeat: a string in quotes, new for each change. A repetition has the answer of the first request",
	}}
	return op
}
