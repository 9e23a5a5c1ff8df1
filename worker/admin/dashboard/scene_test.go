package dashboard_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker/admin"
)

// scene is what screenshots show: three groups with processes, waiting events, letters and a pause.
func scene(tb testing.TB, o rigOptions) *rig {
	tb.Helper()
	o.around = withPast
	r := newRig(tb, o)
	for name, topics := range map[string][]string{
		"billing": {"order.placed", "order.cancelled", "order.refunded"}, "shipping": {"order.placed", "order.cancelled"}, "search-index": {"order.>"},
	} {
		for _, topic := range topics {
			_, err := r.conns.Bus().Subscribe(tb.Context(), topic, name, &bus.SubscribeOptions{})
			must(tb, err)
		}
	}
	for i := range 140 {
		r.publish(tb, []string{"order.placed", "order.placed", "order.cancelled", "order.refunded"}[i%4], fmt.Sprintf("order-%06d", 48_000+i))
	}
	store, err := r.conns.GroupStore(tb.Context())
	must(tb, err)
	_, err = group.Pause(tb.Context(), store, "shipping", group.Request{Reason: "carrier maintenance", By: "ada", For: 40 * time.Minute})
	must(tb, err)
	r.renewScene(tb)
	r.publishLetters(tb, 1, 240, plainLetter)
	return r
}

// renewScene stores the rows of the processes of a scene.
func (r *rig) renewScene(tb testing.TB) {
	tb.Helper()
	r.joinMembers(tb, "billing", 6, nil)
	r.joinMembers(tb, "shipping", 3, func(m *group.Member) {
		m.Host = strings.Replace(m.Host, "billing", "shipping", 1)
		m.Subscriptions = m.Subscriptions[:2]
		for j := range m.Subscriptions {
			s := &m.Subscriptions[j]
			s.State, s.Why, s.Rate, s.InFlight = "paused", "carrier maintenance, by ada", 0, 0
		}
	})
	r.joinMembers(tb, "search-index", 2, func(m *group.Member) {
		m.Host = strings.Replace(m.Host, "billing", "search", 1)
		m.Subscriptions = m.Subscriptions[:1]
		m.Subscriptions[0].Topic = "order.>"
	})
}

// withPast gives the streams of an API a past of 15 minutes.
func withPast(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/overview/stream") {
			api.ServeHTTP(w, r)
			return
		}
		r.URL.Path = strings.TrimSuffix(r.URL.Path, "/stream")
		recorded := httptest.NewRecorder()
		api.ServeHTTP(recorded, r)
		var o admin.Overview
		if json.Unmarshal(recorded.Body.Bytes(), &o) != nil {
			w.WriteHeader(recorded.Code)
			return
		}
		for i := range o.Groups {
			o.History = append(o.History, past(&o.Groups[i], o.At))
		}
		text, _ := json.Marshal(&o)
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: overview\ndata: %s\n\n", text)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
}

// past is what a group may have done.
func past(g *admin.GroupOverview, now time.Time) admin.GroupHistory {
	out := admin.GroupHistory{Group: g.Group}
	for i := range 200 {
		before := float64(200-i) * 4.4
		swing := 1 + .12*math.Sin(before/70) + .06*math.Sin(before/9+float64(len(g.Group)))
		rate, waiting := g.Rate*swing, 60+40*math.Sin(before/50)
		if before > 300 && before < 420 {
			rate, waiting = rate*.35, waiting+(420-before)*9
		} else if before <= 300 && before > 200 {
			rate, waiting = rate*1.25, waiting+(before-200)*10
		}
		out.Times = append(out.Times, float64(now.UnixMilli())/1000-before)
		out.Rates, out.Waiting = append(out.Rates, rate), append(out.Waiting, waiting)
	}
	return out
}
