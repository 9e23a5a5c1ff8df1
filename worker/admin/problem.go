package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/deadletter"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/group"
	natsgroup "github.com/onceish/onceish/group/nats"
	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker"
)

// statuses are what errors are answered with. The first that matches counts.
var statuses = []struct {
	status int
	errs   []error
}{
	{http.StatusNotFound, []error{
		worker.ErrNoGroup, worker.ErrNoConsumer, worker.ErrNoOutbox, bus.ErrNoStream, bus.ErrNoEvent, deadletter.ErrNoLetter, errNotFound,
	}},
	{http.StatusPreconditionFailed, []error{group.ErrConflict}},
	{http.StatusGone, []error{bus.ErrStreamReplaced}},
	{http.StatusConflict, []error{
		deadletter.ErrSuperseded, deadletter.ErrAmbiguous, group.ErrSuperseded, explain.ErrAmbiguous, worker.ErrNoMarks, natsbus.ErrGroupRuns, errConflict,
	}},
	{http.StatusUnprocessableEntity, []error{
		errInvalid, group.ErrInvalid, outbox.ErrNoFilter, bus.ErrInvalidEvent, bus.ErrTooLarge, natsbus.ErrSeveralStreams, worker.ErrUsage,
	}},
	{http.StatusTooManyRequests, []error{errTooMany}},
	{http.StatusNotImplemented, []error{errors.ErrUnsupported}},
	{http.StatusGatewayTimeout, []error{context.DeadlineExceeded}},
	{http.StatusServiceUnavailable, []error{
		bus.ErrUnavailable, bus.ErrClosed, natsgroup.ErrDisconnected, natsgroup.ErrNoAnswer, kvdedupe.ErrDisconnected, kvdedupe.ErrNoAnswer,
		nats.ErrConnectionReconnecting, nats.ErrDisconnected, errClosed,
	}},
}

var (
	// errInvalid is returned when a parameter makes no sense.
	errInvalid = errors.New("invalid request")
	// errNotFound is returned when there is nothing of a name.
	errNotFound = errors.New("not found")
	// errConflict is returned when a change is not what its request says.
	errConflict = errors.New("conflict")
	// errTooMany is returned when no more operations may run.
	errTooMany = errors.New("too many operations run")
)

// problemOf returns the problem that an error is answered with.
func problemOf(ctx context.Context, err error) error {
	if _, ok := errors.AsType[huma.StatusError](err); ok {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(cause, context.DeadlineExceeded) {
		return newProblem(http.StatusGatewayTimeout, "it took longer than "+requestTimeout.String()+": ask for less, or try again later")
	}
	for _, s := range statuses {
		for _, known := range s.errs {
			if errors.Is(err, known) {
				return newProblem(s.status, err.Error())
			}
		}
	}
	return newProblem(http.StatusInternalServerError, err.Error())
}

func newProblem(status int, detail string) *huma.ErrorModel {
	return &huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail}
}

// writeProblem answers a request that reaches no operation.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	body, _ := json.Marshal(newProblem(status, detail)) //nolint:errchkjson // text and a number
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // nobody else to tell
}

// hideValues leaves out of problems what the client sent: it may be a secret, and it knows it.
func hideValues(_ huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*huma.ErrorModel); ok {
		for _, detail := range p.Errors {
			if detail != nil {
				detail.Value = nil
			}
		}
	}
	return v, nil
}
