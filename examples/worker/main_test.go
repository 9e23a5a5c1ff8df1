package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestMain makes this program the worker itself, for the test that starts it.
func TestMain(m *testing.M) {
	if os.Getenv("EXAMPLE_IS_WORKER") != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// A handler is a function, and is tested as one. An order that can never be charged must not
// be tried again.
func TestHandler(t *testing.T) {
	handler := consumer.JSON(charge)
	ctx := consumer.WithAttempt(t.Context(), consumer.Attempt{Number: 2, IdempotencyKey: "the same as in attempt 1"})
	if err := handler(ctx, bus.Event{ID: "1", Data: []byte(`{"customer":"ada","cents":500}`)}); err != nil {
		t.Error(err)
	}
	for _, data := range []string{`{"customer":"ada","cents":-1}`, `{"customer":`, ``} {
		if err := handler(ctx, bus.Event{ID: "2", Data: []byte(data)}); !consumer.IsPermanent(err) {
			t.Errorf("%q: %v, want a permanent error", data, err)
		}
	}
}

// The whole binary, against a real server: orders that a careless producer publishes several times
// are charged once, also when the worker is started again.
func TestBinaryChargesOnce(t *testing.T) {
	nc := natstest.Start(t, nil).Connect(t)
	b, err := natsbus.New(nc, &natsbus.Options{Provision: &natsbus.Provision{}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Topic(t.Context(), "order.placed", "", bus.Start{}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for i, customer := range []string{"ada", "bob", "eve"} {
			publish(t, nc, fmt.Sprint(i), fmt.Sprintf(`{"customer":%q,"cents":%d}`, customer, 500+i))
		}
	}
	if got, want := run(t, nc.ConnectedUrl()), []string{"ada 500", "bob 501", "eve 502"}; !slices.Equal(got, want) {
		t.Errorf("charged %q, want %q", got, want)
	}
	publish(t, nc, "0", `{"customer":"ada","cents":500}`)
	if again := run(t, nc.ConnectedUrl()); len(again) > 0 {
		t.Errorf("charged %q once more", again)
	}
}

// publish leaves out the message id, so that the server stores every copy.
func publish(t *testing.T, nc *nats.Conn, id, data string) {
	t.Helper()
	m := nats.NewMsg("order.placed")
	m.Header.Set("ce-specversion", "1.0")
	m.Header.Set("ce-id", id)
	m.Header.Set("ce-source", bus.DefaultSource)
	m.Header.Set("ce-type", "order.placed")
	m.Data = []byte(data)
	if _, err := nc.RequestMsg(m, 5*time.Second); err != nil {
		t.Fatal(err)
	}
}

// run runs the worker until nothing is left to do, and returns who was charged how much.
func run(t *testing.T, url string) (charged []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, os.Args[0], "--provision", "--until-empty")
	cmd.Env = append(os.Environ(), "EXAMPLE_IS_WORKER=1", "NATS_URL="+url, "MONGODB_URI=")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	for line := range strings.Lines(stdout.String()) {
		var who string
		var cents int
		if _, err := fmt.Sscanf(line, "charged %s %d cents", &who, &cents); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		charged = append(charged, fmt.Sprint(who, " ", cents))
	}
	slices.Sort(charged)
	return charged
}
