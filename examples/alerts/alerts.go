package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
)

type alert struct {
	ID   string `json:"id"`
	Host string `json:"host"`
	Text string `json:"text"`
}

// pager tells somebody. It may be told the same twice, by a process that crashed in between and the
// next one: the key is the same then.
type pager interface {
	page(ctx context.Context, key, text string) error
}

// logPager stands for a service that calls people. As such services do, it knows a key again.
type logPager struct{}

func (logPager) page(_ context.Context, key, text string) error {
	slog.Info("page", "text", text, "key", key)
	return nil
}

// api takes alerts. Whoever gets no 2xx posts the alert again, under its id: it is on the same side
// of the limit then, and is in one summary at most.
func api(tracker *deferral.Tracker, p pager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /alerts", func(w http.ResponseWriter, r *http.Request) {
		var a alert
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&a); err != nil || a.ID == "" || a.Host == "" {
			http.Error(w, `want {"id":"…","host":"…","text":"…"}`, http.StatusBadRequest)
			return
		}
		decision, err := take(r.Context(), tracker, p, a)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, decision) // who has gone posts it again
	})
	return mux
}

// take pages somebody about an alert, or has it summed up.
func take(ctx context.Context, tracker *deferral.Tracker, p pager, a alert) (deferral.Decision, error) {
	data, err := json.Marshal(a)
	if err != nil {
		return deferral.Ignored, err
	}
	e := bus.Event{ID: a.ID, Topic: "alert", Key: a.Host, ContentType: "application/json", Data: data}
	decision, err := tracker.Track(ctx, e)
	if err != nil || decision != deferral.Immediate {
		return decision, err
	}
	return decision, p.page(ctx, a.ID, a.Host+": "+a.Text)
}

// summarize returns the handler of what waited.
func summarize(p pager) deferral.Handler {
	return func(ctx context.Context, host string, events []bus.Event) error {
		var last alert
		if err := json.Unmarshal(events[len(events)-1].Data, &last); err != nil {
			return consumer.Permanent(err)
		}
		text := fmt.Sprintf("%s: %d more alerts, the last: %s", host, len(events), last.Text)
		return p.page(ctx, consumer.AttemptFrom(ctx).IdempotencyKey, text)
	}
}
