package main

import (
	"context"
	"net/http"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/telemetry/export"
)

// addMetrics measures a worker whose metrics are served, or sent by OTLP. It returns what serves
// them; nil: nothing does.
func addMetrics(ctx context.Context, w *worker.Worker, c *config.Metrics) (http.Handler, error) {
	o := &export.Options{Version: commandline.Version()}
	switch {
	case c != nil:
		o.Address = c.Address
	case !export.SendsByOTLP():
		return nil, nil //nolint:nilnil // nobody reads them
	}
	e, err := export.Add(ctx, w, o)
	if err != nil {
		return nil, err
	}
	return e.Handler(), nil
}
