package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/replay"
)

// publishNumbered stores events with the ids 1 … n on "order.placed".
func publishNumbered(tb testing.TB, r *rig, n int) {
	tb.Helper()
	r.makeStreams(tb)
	var batch []bus.Event
	for i := 1; i <= n; i++ {
		batch = append(batch, bus.Event{
			ID: fmt.Sprint(i), Topic: "order.placed", Key: "k", ContentType: "text/plain", Data: []byte("secret payload"), Headers: bus.Headers{"Tenant": {"acme"}},
		})
		if len(batch) == 1000 || i == n {
			_, err := r.conns.Bus().Publish(tb.Context(), batch...)
			must(tb, err)
			batch = nil
		}
	}
}

// ids are those of lines of the exchange format.
func ids(tb testing.TB, lines []json.RawMessage) (out []string) {
	tb.Helper()
	for _, line := range lines {
		s, err := replay.ParseLine(line)
		must(tb, err)
		out = append(out, s.Event.ID)
	}
	return out
}

// Pages of events follow each other without a gap or a repeat, from wherever they begin.
func TestEventsAreReadByPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	publishNumbered(t, r, 25)
	var all []string
	path := "/v1/replay?topic=order.placed&from=earliest&limit=10"
	for pages := 0; ; pages++ {
		page := decode[EventPage](t, r.get(t, path))
		if page.Count != len(page.Events) || page.More != (pages < 2) {
			t.Errorf("page %d: count %d of %d, more %v", pages, page.Count, len(page.Events), page.More)
		}
		all = append(all, ids(t, page.Events)...)
		path = "/replay?topic=order.placed&from=after&limit=10&after=" + url.QueryEscape(page.Next)
		if !page.More {
			break
		}
	}
	for i, id := range all {
		if len(all) != 25 || id != fmt.Sprint(i+1) {
			t.Fatalf("read %q", all)
		}
	}
	publishNumbered(t, r, 26) // the first 25 are known
	if page := decode[EventPage](t, r.get(t, path)); page.Count != 1 || ids(t, page.Events)[0] != "26" {
		t.Errorf("what was stored later: %+v", page)
	}
	if page := decode[EventPage](t, r.get(t, "/v1/replay?topic=order.placed&from=afterId&afterId=20")); page.Count != 6 {
		t.Errorf("%d events after the id 20", page.Count)
	}
	for query, want := range map[string]int{"from=ts&ts=1h": 26, "ts=" + url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339)): 0} {
		if page := decode[EventPage](t, r.get(t, "/v1/replay?topic=order.placed&"+query)); page.Count != want {
			t.Errorf("%s: %d events, want %d", query, page.Count, want)
		}
	}
}

// Payloads are shown only to who asks for them.
func TestEventsHaveNoPayloadUnlessAskedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	publishNumbered(t, r, 1)
	envelope := `{"specversion":"1.0","id":"in data","source":"s","type":"t","data":{"secret":"payload"}}`
	must(t, r.conns.NATS().PublishMsg(structured("order.placed", envelope)))
	must(t, r.conns.NATS().Flush())
	a := r.get(t, "/v1/replay?topic=order.placed")
	if page := decode[EventPage](t, a); len(page.Events) != 2 || ids(t, page.Events)[1] != "in data" {
		t.Errorf("events: %s", a.body)
	}
	if strings.Contains(a.body, "payload") || strings.Contains(a.body, "acme") {
		t.Errorf("not asked for: %s", a.body)
	}
	if a := r.get(t, "/v1/replay?topic=order.placed&payload=1"); strings.Count(a.body, "payload") != 2 || !strings.Contains(a.body, "acme") {
		t.Errorf("asked for: %s", a.body)
	}
}

// Large payloads end a page early, and the next one goes on.
func TestPageOfLargePayloadsIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.makeStreams(t)
	for i := range 8 {
		_, err := r.conns.Bus().Publish(t.Context(), bus.Event{ID: fmt.Sprint(i), Topic: "order.placed", Data: make([]byte, 900_000)})
		must(t, err)
	}
	seen := 0
	for after := ""; ; {
		a := r.get(t, "/v1/replay?topic=order.placed&payload=1&limit=1000&after="+url.QueryEscape(after))
		page := decode[EventPage](t, a)
		if seen += page.Count; len(a.body) > 2*maxPageBytes || page.Count == 0 {
			t.Fatalf("%d events in %d bytes", page.Count, len(a.body))
		}
		if after = page.Next; !page.More {
			break
		}
	}
	if seen != 8 {
		t.Errorf("read %d events, want 8", seen)
	}
}

// An export has every event, and says that it is complete and where to go on.
func TestExportHasEveryEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	publishNumbered(t, r, 2500)
	for _, path := range []string{"/v1/export?topic=order.placed", "/export?topic=order.placed&fromTs=1h&ndjson=1"} {
		lines, trailer := r.export(t, path)
		if got := ids(t, lines); len(got) != 2500 || got[0] != "1" || got[2499] != "2500" {
			t.Errorf("%s: %d events", path, len(got))
		}
		if trailer.Get(trailerEvents) != "2500" || trailer.Get(trailerNext) == "" || trailer.Get(trailerIncomplete) != "" {
			t.Errorf("%s: trailers %v", path, trailer)
		}
	}
	array := decode[[]json.RawMessage](t, r.get(t, "/v1/export?topic=order.placed&ndjson=0"))
	if got := ids(t, array); len(got) != 2500 || got[2499] != "2500" {
		t.Errorf("as an array: %d events", len(got))
	}
	if empty := decode[[]json.RawMessage](t, r.get(t, "/v1/export?topic=order.placed&ndjson=0&toTs=1h")); len(empty) != 0 {
		t.Errorf("an empty range: %d events", len(empty))
	}
}

// export returns the lines of an export, and its trailers.
func (r *rig) export(tb testing.TB, path string) (lines []json.RawMessage, trailer http.Header) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, r.url+path, http.NoBody)
	must(tb, err)
	resp, err := http.DefaultTransport.RoundTrip(req)
	must(tb, err)
	defer func() { must(tb, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/x-ndjson" {
		tb.Fatalf("%s: status %d, %s", path, resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	in := bufio.NewReader(resp.Body)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return lines, resp.Trailer
		}
		must(tb, err)
		lines = append(lines, line)
	}
}

// What makes no sense is refused, with what to set instead.
func TestQueriesAreChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for path, says := range map[string]string{
		"/v1/replay":                                                  "required",
		"/v1/replay?topic=a..b":                                       "topic",
		"/v1/replay?topic=a&from=yesterday":                           "from",
		"/v1/replay?topic=a&from=ts":                                  "ts is not set",
		"/v1/replay?topic=a&from=earliest&ts=1h":                      "leave one of them out",
		"/v1/replay?topic=a&ts=1h&afterId=7":                          "one at most",
		"/v1/replay?topic=a&ts=noon":                                  "such as 2h",
		"/v1/replay?topic=a&after=here":                               "position",
		"/v1/replay?topic=a&limit=0":                                  "limit",
		"/v1/replay?topic=a&limit=1001":                               "limit",
		"/v1/replay?topic=a&limit=99999999999999999999":               "limit",
		"/v1/replay?topic=a&colour=red":                               "colour",
		"/v1/export?topic=a&fromTs=1h&toTs=2h":                        "fromTs is after toTs",
		"/v1/groups/g/dead-letters?since=1h&until=2h":                 "since is not before until",
		"/v1/groups/g/dead-letters?topic=a..b":                        "topic",
		"/v1/groups/g/dead-letters?after=here":                        "position",
		"/v1/groups/g/dead-letters?dead_letter=a.*":                   "dead-letter topic",
		"/v1/groups/a.*/dead-letters":                                 "dead-letter topic",
		"/v1/groups/a%20b/lag":                                        "dead-letter topic",
		"/v1/groups/g/story?topic=t":                                  "one of id, sequence and letter",
		"/v1/groups/g/story?topic=t&id=1&sequence=1":                  "one of id, sequence and letter",
		"/v1/groups/g/story?topic=t&sequence=1&source=s":              "source goes with",
		"/v1/groups/g/story?topic=t.*&id=1":                           "topic",
		"/v1/groups/g/story?topic=t&sequence=-1":                      "sequence",
		"/v1/groups/g/story?topic=t&sequence=18446744073709551616":    "sequence",
		"/v1/groups/" + strings.Repeat("g", 300):                      "group",
		"/v1/outbox?collection=a.b":                                   "collection",
		"/v1/outbox?collection=" + url.QueryEscape("$where"):          "collection",
		"/v1/outbox/rows?status=lost":                                 "status",
		"/v1/groups/g/dead-letters?since=99999999999999999999999999h": "such as 2h",
	} {
		refuses(t, r.get(t, path), http.StatusUnprocessableEntity, says)
	}
}

// The story of an event is that of package explain.
func TestStoryOfAnEventIsShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startWorker(t, nil)
	r.publish(t, "order.placed", "bad1")
	letter := r.awaitLetters(t, 1).Letters[0].Letter
	for query, want := range map[string]explain.State{
		"id=bad1": explain.Dead, "id=nothing": explain.NotFound, "sequence=1": explain.Dead, "letter=" + url.QueryEscape(letter): explain.Dead,
	} {
		a := r.get(t, "/v1/groups/billing/story?topic=order.placed&"+query)
		if story := decode[explain.Story](t, a); story.State != want {
			t.Errorf("%s: %s", query, a.body)
		}
	}
}
