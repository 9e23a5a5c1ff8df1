// Package export is the SDK of OpenTelemetry behind package telemetry: it serves the metrics of
// a worker for Prometheus, and sends metrics and spans by OTLP over HTTP where the standard
// variables of the environment say so. The command "worker run" uses it. A worker of your own adds
// metrics in its Setup:
//
//	worker.Main("billing", func(ctx context.Context, w *worker.Worker) error {
//		if _, err := export.AddMetrics(ctx, w, ":9464", nil); err != nil {
//			return err
//		}
//		w.Handle("order.placed", consumer.JSON(charge), nil)
//		return nil
//	})
//
// OpenTraces makes spans of a process, for telemetry.NewTraces. A program that has a MeterProvider
// and a TracerProvider needs package telemetry alone.
//
// # What it promises
//
// A scrape asks no server, and is answered while NATS and the store are down. Whoever is slow to
// read keeps no other scrape waiting. The endpoint has no access control: metrics have names of
// topics, groups and outboxes, and no payloads, ids or texts of errors.
//
// A receiver of OTLP that fails or hangs holds up neither events nor the end of the process: spans
// wait in a queue of a fixed size, and what is left when time is up is dropped. It is logged once
// when something is not taken, and once when it is again.
package export
