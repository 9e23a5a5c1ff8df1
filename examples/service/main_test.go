package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServiceChargesOnce(t *testing.T) {
	for name, at := range map[string]func(t *testing.T) servers{
		"marks in NATS": func(*testing.T) servers { return servers{} },
		"marks in MongoDB": func(t *testing.T) servers {
			return servers{Mongo: mongotest.URI(t), Database: mongotest.Database(t).Name()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			nc := natstest.Start(t, nil).Connect(t)
			at := at(t)
			at.NATS = nc.ConnectedUrl()
			var charges atomic.Int64
			charge := func(context.Context, bus.Event) error {
				charges.Add(1)
				return nil
			}
			s := start(t, at, charge)
			s.healthy(t)
			for range 2 {
				s.post(t, `{"id":"1","cents":500}`)
			}
			for range 3 {
				copied(t, nc, `{"id":"1","cents":500}`)
			}
			settled(t, nc, 4)
			s.end(t)

			s = start(t, at, charge)
			copied(t, nc, `{"id":"1","cents":500}`)
			settled(t, nc, 5)
			s.end(t)
			if n := charges.Load(); n != 1 {
				t.Errorf("charged %d times", n)
			}
		})
	}
}

// Who is told to end finishes what it has begun.
func TestServiceEndsInOrder(t *testing.T) {
	nc := natstest.Start(t, nil).Connect(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	s := start(t, servers{NATS: nc.ConnectedUrl()}, func(ctx context.Context, _ bus.Event) error {
		close(begun)
		<-finish
		return ctx.Err()
	})
	s.post(t, `{"id":"1","cents":500}`)
	<-begun
	s.stop()
	select {
	case err := <-s.ended:
		t.Fatalf("ended with a handler running: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	s.end(t)
	settled(t, nc, 1)
}

func TestServiceSaysWhyItCannotStart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := serve(t.Context(), listener, servers{NATS: "nats://127.0.0.1:1"}, nil); !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("%v, want %v", err, nats.ErrNoServers)
	}
}

// service is one that runs.
type service struct {
	url   string
	stop  context.CancelFunc
	ended chan error
}

func start(t *testing.T, at servers, charge consumer.Handler) *service {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &service{url: "http://" + listener.Addr().String(), stop: stop, ended: make(chan error, 1)}
	go func() { s.ended <- serve(ctx, listener, at, charge) }()
	t.Cleanup(stop)
	return s
}

// end ends the service in order.
func (s *service) end(t *testing.T) {
	t.Helper()
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

func (s *service) post(t *testing.T, body string) {
	t.Helper()
	r, err := client.Post(s.url+"/orders", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusAccepted {
		t.Fatal(r.Status)
	}
}

func (s *service) healthy(t *testing.T) {
	t.Helper()
	r, err := client.Get(s.url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Error(r.Status)
	}
}

// client keeps no connection that a test would have to close.
var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

// copied publishes a copy of the order, without a message id by which the server would know it.
func copied(t *testing.T, nc *nats.Conn, data string) {
	t.Helper()
	m := nats.NewMsg(topic)
	for name, value := range map[string]string{"specversion": "1.0", "id": "1", "source": bus.DefaultSource, "type": topic} {
		m.Header.Set("ce-"+name, value)
	}
	m.Data = []byte(data)
	if _, err := nc.RequestMsg(m, 5*time.Second); err != nil {
		t.Fatal(err)
	}
}

// settled waits until all that was stored is settled, for which the server has no signal.
func settled(t *testing.T, nc *nats.Conn, stored uint64) {
	t.Helper()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		info, err := js.ConsumerInfo(natsbus.StreamName(topic), natsbus.ConsumerName("billing", topic))
		if err == nil && info.AckFloor.Stream == stored {
			return
		}
	}
	t.Fatalf("%d events are not settled", stored)
}
