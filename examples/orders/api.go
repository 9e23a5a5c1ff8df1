package main

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/mongodoc"
)

// api is what customers can ask for. Every request may be repeated.
func api(b *book) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		var o order
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o)
		if err == nil {
			err = o.check()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		placed, err := b.place(r.Context(), o)
		switch {
		case err != nil:
			fail(w, err)
		case placed:
			w.WriteHeader(http.StatusCreated)
		}
	})
	mux.HandleFunc("DELETE /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := b.cancel(r.Context(), r.PathValue("id")); err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// fail says what went wrong. After a 503 it is not known whether the request has changed
// something: retry.
func fail(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, errOther):
		status = http.StatusConflict
	case errors.Is(err, mongodoc.ErrNoMatch):
		status = http.StatusNotFound
	case errors.Is(err, bus.ErrInvalidEvent):
		status = http.StatusBadRequest
	}
	http.Error(w, err.Error(), status)
}
