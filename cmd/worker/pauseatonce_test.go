package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// Pauses at once by the API, the command and the server's own API leave the group paused, with one
// pause of its own; after resumes by all three it runs, and no event was lost.
func TestPausesAtOnceByAPICommandAndServer(t *testing.T) {
	t.Parallel()
	server, h, address := natstest.Start(t, nil), newHouse(t), freeAddress(t)
	h.env = append(h.env, "NATS_URL="+server.URL(), adminTokenVariable+"="+adminTestToken)
	w := h.start(quick(`echo $CE_ID >>effects`, "--provision", "--admin", address)...)
	w.says(`msg=running`)
	awaitAdmin(t, address, http.StatusOK)
	js, err := jetstream.New(server.Connect(t))
	check(t, err)
	stream, consumer := natsbus.StreamName("t"), natsbus.ConsumerName("g", "t")
	for round := range 3 {
		atOnce(
			func() { changeByAPI(t, address, "pause") },
			func() { changeByCommand(t, h, "pause") },
			func() {
				_, err := js.PauseConsumer(t.Context(), stream, consumer, time.Now().Add(time.Hour))
				check(t, err)
			},
		)
		h.publish("t", fmt.Sprintf(`{"id":"%d"}`, round))
		status, body := getAdmin(t, "http://"+address+"/v1/groups/g")
		if status != http.StatusOK || strings.Count(body, `"reason":"at once"`) != 1 || !strings.Contains(body, `"state":"paused"`) {
			t.Errorf("round %d: %d %s", round, status, body)
		}
		h.lines("effects", []string{"0", "1", "2"}[:round]...)
		atOnce(func() { changeByAPI(t, address, "resume") }, func() { changeByCommand(t, h, "resume") })
		if _, err := js.ResumeConsumer(t.Context(), stream, consumer); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		for len(strings.Fields(h.wait("effects"))) <= round {
			if t.Context().Err() != nil {
				t.Fatalf("round %d: nothing runs after the resumes", round)
			}
			time.Sleep(5 * time.Millisecond) // there is no signal
		}
	}
	h.lines("effects", "0", "1", "2")
}

// atOnce runs functions at the same time, and waits for them.
func atOnce(all ...func()) {
	var running sync.WaitGroup
	for _, f := range all {
		running.Go(f)
	}
	running.Wait()
}

// changeByAPI pauses or resumes the group. Somebody else may be faster.
func changeByAPI(t *testing.T, address, change string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/v1/groups/g/"+change, strings.NewReader(`{"reason":"at once"}`))
	check(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+adminTestToken)
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	check(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(t, err)
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusConflict {
		t.Errorf("%s: %d %s", change, resp.StatusCode, text)
	}
}

// changeByCommand is changeByAPI by the command.
func changeByCommand(t *testing.T, h *house, change string) {
	t.Helper()
	args := []string{"worker", change, "g", "--nats", strings.TrimPrefix(lastWith(h.env, "NATS_URL="), "NATS_URL=")}
	if change == "pause" {
		args = append(args, "--reason", "at once")
	}
	var out, stderr bytes.Buffer
	if status := execArgs(t.Context(), args, strings.NewReader(""), &out, &stderr); status > 1 || status == 1 && !strings.Contains(stderr.String(), "superseded") {
		t.Errorf("%s: exit status %d: %s%s", change, status, &out, &stderr)
	}
}

// lastWith is the last text that begins with something.
func lastWith(all []string, begin string) (found string) {
	for _, text := range all {
		if strings.HasPrefix(text, begin) {
			found = text
		}
	}
	return found
}
