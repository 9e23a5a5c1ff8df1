package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/onceish/onceish/internal/testing/mongotest"
)

func TestAPI(t *testing.T) {
	t.Parallel()
	db := mongotest.Database(t)
	h := api(&book{once: store(t, db), orders: db.Collection("orders")})
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"DELETE", "/orders/1", "", http.StatusNotFound},
		{"POST", "/orders", `{"id":"1","customer":"ada","cents":500}`, http.StatusCreated},
		{"POST", "/orders", `{"id":"1","customer":"ada","cents":500}`, http.StatusOK},
		{"POST", "/orders", `{"id":"1","customer":"ada","cents":501}`, http.StatusConflict},
		{"POST", "/orders", `{"id":"1","customer":"bob","cents":500}`, http.StatusConflict},
		{"DELETE", "/orders/1", "", http.StatusNoContent},
		{"DELETE", "/orders/1", "", http.StatusNoContent},
		{"POST", "/orders", `{"id":"1","customer":"ada","cents":500}`, http.StatusOK},
		{"POST", "/orders", `{"id":"$2.0/ä","customer":"ada","cents":500}`, http.StatusCreated},
		{"DELETE", "/orders/$2.0%2F%C3%A4", "", http.StatusNoContent},
		{"POST", "/orders", `{"id":"3","customer":"ada","cents":-1}`, http.StatusBadRequest},
		{"POST", "/orders", `{"id":"","customer":"ada","cents":1}`, http.StatusBadRequest},
		{"POST", "/orders", `{"id":"3",`, http.StatusBadRequest},
		{"POST", "/orders", `{"id":"` + strings.Repeat("3", 1<<16) + `","customer":"ada","cents":1}`, http.StatusBadRequest},
		{"GET", "/orders/1", "", http.StatusMethodNotAllowed},
	} {
		if got := ask(t, h, c.method, c.path, c.body); got != c.status {
			t.Errorf("%s %s %.60s: %d, want %d", c.method, c.path, c.body, got, c.status)
		}
	}
	for id, want := range map[string][]string{"1": {orderPlaced, orderCancelled}, "$2.0/ä": {orderPlaced, orderCancelled}} {
		var got invoice
		if err := db.Collection("orders").FindOne(t.Context(), byID(id)).Decode(&got); err != nil {
			t.Fatal(err)
		}
		if es := got.Ledger.Events; len(es) != len(want) || es[0].Topic != want[0] || es[1].Topic != want[1] {
			t.Errorf("events of %s that wait: %+v, want %v", id, es, want)
		}
	}
}

// An order that is posted by many at a time is placed by one of them.
func TestAPIPlacesOnce(t *testing.T) {
	t.Parallel()
	db := mongotest.Database(t)
	h := api(&book{once: store(t, db), orders: db.Collection("orders")})
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 20 {
		all.Go(func() {
			status := ask(t, h, "POST", "/orders", `{"id":"1","customer":"ada","cents":500}`)
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	all.Wait()
	if statuses[http.StatusCreated] != 1 || statuses[http.StatusOK] != 19 {
		t.Errorf("answers by status: %v", statuses)
	}
}

func ask(t *testing.T, h http.Handler, method, path, body string) int {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	return w.Code
}
