package admin

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/worker"
)

// Clients that stop reading their exports are cut off once they have taken too long for a part.
// Meanwhile others are answered, and afterwards they may export. What was cut off has no end.
func TestClientThatStopsReadingAnExportIsCutOff(t *testing.T) {
	t.Parallel()
	store, err := memdedupe.New(nil)
	must(t, err)
	b := memoryBus(t)
	const events, size = 512, 64 << 10 // more than the buffers of a connection take
	for i := range events {
		_, err := b.Publish(t.Context(), bus.Event{ID: strconv.Itoa(i), Topic: "order.placed", Data: bytes.Repeat([]byte("x"), size)})
		must(t, err)
	}
	_, err = b.Publish(t.Context(), bus.Event{ID: "small", Topic: "order.paid"})
	must(t, err)
	r := serve(t, worker.Over(b, store), Options{writeBody: 200 * time.Millisecond})
	var stuck []*begunExport
	for range maxStreams {
		stuck = append(stuck, r.beginExport(t, "/v1/export?topic=order.placed"))
	}
	if page := decode[EventPage](t, r.get(t, "/v1/replay?topic=order.placed&limit=1")); page.Count != 1 {
		t.Errorf("meanwhile: %+v", page)
	}
	r.awaitStreams(t)
	for i, s := range stuck {
		rest, err := io.ReadAll(s.body)
		if n := bytes.Count(rest, []byte("\n")); err == nil || n >= events || s.answer.Trailer.Get(trailerEvents) != "" {
			t.Errorf("client %d: %d more lines, %v, trailers %v; want it cut off", i, n, err, s.answer.Trailer)
		}
	}
	if all, trailer := r.export(t, "/v1/export?topic=order.paid"); len(all) != 1 || trailer.Get(trailerEvents) != "1" {
		t.Errorf("afterwards: %d lines, trailers %v", len(all), trailer)
	}
}

// begunExport is an export of which some lines were read.
type begunExport struct {
	answer *http.Response
	body   *bufio.Reader
}

// beginExport reads some lines of an export, and no more.
func (r *rig) beginExport(t *testing.T, path string) *begunExport {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, http.NoBody)
	must(t, err)
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	must(t, err)
	t.Cleanup(func() { must(t, resp.Body.Close()) })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d", path, resp.StatusCode)
	}
	body := bufio.NewReader(resp.Body)
	for range 3 {
		_, err := body.ReadBytes('\n')
		must(t, err)
	}
	return &begunExport{resp, body}
}

// awaitStreams waits until no export runs.
func (r *rig) awaitStreams(t *testing.T) {
	t.Helper()
	hangs := time.After(time.Minute)
	for n := range maxStreams {
		select {
		case r.api.streams <- struct{}{}:
		case <-hangs:
			t.Fatalf("%d exports run on", maxStreams-n)
		}
	}
	for range maxStreams {
		<-r.api.streams
	}
}
