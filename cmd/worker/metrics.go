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
func addMetrics(ctx context.Context, w *worker.Worker, c *config.Config) (http.Handler, error) {
	address := ""
	switch {
	case c.Metrics != nil:
		address = c.Metrics.Address
	case !export.SendsMetrics():
		return nil, nil //nolint:nilnil // nobody reads them
	}
	m, err := export.AddMetrics(ctx, w, address, &export.Options{Version: commandline.Version(), Strict: c.Strict})
	if err != nil {
		return nil, err
	}
	return m.Handler(), nil
}
