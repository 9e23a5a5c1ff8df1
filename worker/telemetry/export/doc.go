// Package export is a telemetry.Metrics of a worker with an SDK behind it: metrics are served for
// Prometheus, and sent by OTLP where the standard environment variables say so. The command
// "worker run --metrics ADDRESS" uses it. A worker of your own adds it in its Setup:
//
//	worker.Main("billing", func(ctx context.Context, w *worker.Worker) error {
//		if _, err := export.Add(ctx, w, &export.Options{Address: ":9464"}); err != nil {
//			return err
//		}
//		w.Handle("order.placed", consumer.JSON(charge), nil)
//		return nil
//	})
//
// A program that has a MeterProvider needs package telemetry alone.
//
// # What it promises
//
// A scrape asks no server, and is answered while NATS and the store are down. Whoever is slow to
// read keeps no other scrape waiting. A receiver of OTLP that fails or hangs is logged, and holds
// up neither events nor the end of the worker: what is left is sent within a second then, or not
// at all. The endpoint has no access control: metrics have names of topics, groups and outboxes,
// and no payloads, ids or texts of errors.
package export
