package main

import (
	"encoding/json"
	"net/http"

	"github.com/onceish/onceish/bus"
)

// api is what the service offers over HTTP.
func api(events bus.Publisher, healthy func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := healthy(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		var o order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil || o.ID == "" {
			http.Error(w, `want {"id":"…","cents":…}`, http.StatusBadRequest)
			return
		}
		data, err := json.Marshal(o)
		if err == nil {
			_, err = events.Publish(r.Context(), bus.Event{ID: o.ID, Topic: topic, ContentType: "application/json", Data: data})
		}
		if err != nil { // it may be stored all the same: whoever posts it again charges nobody twice
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	return mux
}
