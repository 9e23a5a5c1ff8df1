package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// awaitMetrics scrapes a worker until the answer has a text, and returns the answer.
func awaitMetrics(t *testing.T, address, want string) string {
	t.Helper()
	var body string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) { // it may not listen yet
		var status int
		if status, body = getAdmin(t, "http://"+address+"/metrics"); status == http.StatusOK && strings.Contains(body, want) {
			return body
		}
	}
	t.Fatalf("there is no %s in\n%s", want, body)
	return ""
}

// A worker that drains can be scraped to its end, at an address of the metrics and at that of the
// API.
func TestWorkerServesMetricsUntilItHasDrained(t *testing.T) {
	t.Parallel()
	h, address, api := newHouse(t), freeAddress(t), freeAddress(t)
	h.env = append(h.env, "NATS_URL="+natstest.Start(t, nil).URL(), adminTokenVariable+"="+adminTestToken)
	w := h.start("run", "--topic", "t", "--group", "billing", "--provision", "--metrics", address, "--admin", api,
		"--exec", `echo up >started; while ! test -e told; do sleep 0.01; done`)
	w.says("msg=metrics url=http://" + address + "/metrics")
	h.publish("t", event)
	h.wait("started")
	w.signal(syscall.SIGTERM)
	w.says("shutting down")
	const inFlight = `onceish_in_flight{group="billing",topic="t"} 1`
	awaitMetrics(t, address, inFlight)
	awaitMetrics(t, api, inFlight)
	h.touch("told")
	w.exits(0)
	if status, body := getAdmin(t, "http://"+address+"/metrics"); status != 0 {
		t.Errorf("after it has ended: %d %s", status, body)
	}
}

// Whatever is secret in the configuration, in the environment or in an event: no metric has it.
func TestMetricsHaveNoSecrets(t *testing.T) {
	t.Parallel()
	const canary = "hunter2"
	nats := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "u", canary })
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, canary, http.StatusInternalServerError)
	}))
	defer service.Close()
	h, address, api := newHouse(t), freeAddress(t), freeAddress(t)
	file := fmt.Sprintf(`
group: billing
nats: {url: "nats://u:%[1]s@%[2]s", provision: true}
mongo: {uri: "%[3]s"}
admin: {address: %[4]s, token: %[5]s%[1]s}
metrics: %[6]s
outbox: {}
subscriptions:
  - topic: order.placed
    attempts: 1
    handler:
      http:
        url: "http://u:%[1]s@%[7]s/%[1]s?%[1]s"
        headers: {Authorization: %[1]s}
        signing: {secrets: [whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnRlcjI=]}
  - topic: order.sent
    attempts: 1
    handler: {exec: "echo %[1]s >&2; exit 1"}
`, canary, nats.Addr(), "mongodb://"+mongoHosts(t)+"/"+mongotest.Database(t).Name()+"?appName="+canary, api, adminTestToken, address, strings.TrimPrefix(service.URL, "http://"))
	if err := os.WriteFile(h.path("worker.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "NATS_URL=nats://u:"+canary+"@"+nats.Addr(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://u:"+canary+"@127.0.0.1:1/"+canary,
		"OTEL_EXPORTER_OTLP_HEADERS=api-key="+canary)
	w := h.start("run", "-c", "worker.yaml")
	w.says("running")
	for _, topic := range []string{"order.placed", "order.sent"} {
		h.publish(topic, fmt.Sprintf(`{"id":"%[1]s","key":"%[1]s","%[1]s":"%[1]s"}`, canary))
	}
	awaitMetrics(t, address, `onceish_dead_letters_total{group="billing",reason="failed",topic="order.placed"} 1`)
	text := awaitMetrics(t, address, `onceish_dead_letters_total{group="billing",reason="failed",topic="order.sent"} 1`)
	if !strings.Contains(text, `onceish_outbox_depth{outbox="outbox"} `) {
		text = awaitMetrics(t, address, `onceish_outbox_depth{outbox="outbox"} `)
	}
	if strings.Contains(text, canary) || strings.Contains(text, "aHVudGVy") {
		t.Errorf("the metrics have a secret:\n%s", text)
	}
	w.signal(syscall.SIGTERM)
	w.exits(0)
	log, err := os.ReadFile(w.stderr)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(log), "\n") {
		if strings.Contains(line, "metrics") && strings.Contains(line, canary) {
			t.Error("the log has a secret:", line)
		}
	}
}
