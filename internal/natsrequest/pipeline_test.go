package natsrequest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/internal/natsrequest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service answers requests to "echo" with their data, and takes those to "mute" without an answer.
func service(t *testing.T) (p *natsrequest.Pipeline, nc *nats.Conn, muted chan *nats.Msg) {
	t.Helper()
	srv := natstest.Start(t, nil)
	their := srv.Connect(t)
	muted = make(chan *nats.Msg, 10)
	if _, err := their.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		t.Fatal(err)
	}
	if _, err := their.ChanSubscribe("mute", muted); err != nil {
		t.Fatal(err)
	}
	if err := their.Flush(); err != nil {
		t.Fatal(err)
	}
	nc = srv.Connect(t)
	p = natsrequest.New(nc, 4)
	t.Cleanup(func() { _ = p.Close() })
	return p, nc, muted
}

func open(t *testing.T, p *natsrequest.Pipeline, n int, silence time.Duration) *natsrequest.Batch {
	t.Helper()
	b, err := p.Open(n, silence)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func send(t *testing.T, b *natsrequest.Batch, i int, subject, data string) {
	t.Helper()
	if err := b.Reserve(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Send(i, &nats.Msg{Subject: subject, Data: []byte(data)}); err != nil {
		t.Fatal(err)
	}
}

func nothingPends(t *testing.T, p *natsrequest.Pipeline) {
	t.Helper()
	if requests, batches := p.Pending(); requests != 0 || batches != 0 {
		t.Errorf("%d requests and %d batches pend", requests, batches)
	}
}

// TestEachRequestGetsItsAnswer: also where there are more than the window holds, and where one was
// left out.
func TestEachRequestGetsItsAnswer(t *testing.T) {
	t.Parallel()
	p, _, _ := service(t)
	const n = 100
	b := open(t, p, n, time.Minute)
	for i := 1; i < n; i++ {
		send(t, b, i, "echo", string(rune('a'+i)))
	}
	if err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m, sent := b.Answer(i)
		if left := i == 0; left != (m == nil) || sent == left || !left && string(m.Data) != string(rune('a'+i)) {
			t.Errorf("%d: %v, sent: %v", i, m, sent)
		}
	}
	b.Close()
	nothingPends(t, p)
}

// TestLateAnswerIsNobodys: it comes when the batch was given up, and takes nothing of the next one.
func TestLateAnswerIsNobodys(t *testing.T) {
	t.Parallel()
	p, _, muted := service(t)
	b := open(t, p, 4, 0)
	for i := range 4 {
		send(t, b, i, "mute", "")
	}
	gaveUp, cancel := context.WithCancelCause(t.Context())
	why := errors.New("given up")
	cancel(why)
	if err := b.Wait(gaveUp); !errors.Is(err, why) {
		t.Errorf("Wait: %v, want %v", err, why)
	}
	if _, sent := b.Answer(0); !sent {
		t.Error("what was sent is told to be")
	}
	b.Close()
	nothingPends(t, p)
	next := open(t, p, 4, 0)
	send(t, next, 0, "mute", "")
	for range 4 {
		if err := (<-muted).Respond([]byte("late")); err != nil {
			t.Fatal(err)
		}
	}
	if err := (<-muted).Respond([]byte("in time")); err != nil {
		t.Fatal(err)
	}
	if err := next.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, _ := next.Answer(0); string(m.Data) != "in time" {
		t.Errorf("%q", m.Data)
	}
}

// TestSilenceEndsABatch that has something in flight, and no other.
func TestSilenceEndsABatch(t *testing.T) {
	t.Parallel()
	p, _, _ := service(t)
	b := open(t, p, 5, 50*time.Millisecond)
	for i := range 4 {
		send(t, b, i, "mute", "")
	}
	if err := b.Reserve(t.Context()); !errors.Is(err, natsrequest.ErrSilent) {
		t.Errorf("Reserve: %v, want ErrSilent", err)
	}
	if err := b.Wait(t.Context()); !errors.Is(err, natsrequest.ErrSilent) {
		t.Errorf("Wait: %v, want ErrSilent", err)
	}
	other := open(t, p, 1, 10*time.Millisecond)
	waiting, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := other.Reserve(waiting); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Reserve with nothing in flight: %v, want the window to be waited for", err)
	}
}

// TestLostConnectionEndsABatch, also where it was lost and is there again.
func TestLostConnectionEndsABatch(t *testing.T) {
	t.Parallel()
	p, nc, _ := service(t)
	b := open(t, p, 5, 0)
	for i := range 4 {
		send(t, b, i, "mute", "")
	}
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(t.Context()); !errors.Is(err, natsrequest.ErrInterrupted) {
		t.Errorf("Wait: %v, want ErrInterrupted", err)
	}
	if err := b.Reserve(t.Context()); !errors.Is(err, natsrequest.ErrInterrupted) {
		t.Errorf("Reserve: %v, want ErrInterrupted", err)
	}
	b.Close()
	nothingPends(t, p)
}

func TestClosedPipeline(t *testing.T) {
	t.Parallel()
	p, nc, _ := service(t)
	b := open(t, p, 1, 0)
	send(t, b, 0, "mute", "")
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	if err := b.Wait(t.Context()); !errors.Is(err, natsrequest.ErrClosed) {
		t.Errorf("Wait: %v, want ErrClosed", err)
	}
	if _, err := p.Open(1, 0); !errors.Is(err, natsrequest.ErrClosed) {
		t.Errorf("Open: %v, want ErrClosed", err)
	}
	nc.Close()
	if _, err := natsrequest.New(nc, 1).Open(1, 0); err == nil {
		t.Error("a batch on a closed connection")
	}
}

// TestConnectionClosedBehindARequestEndsIt at once.
func TestConnectionClosedBehindARequestEndsIt(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, nil)
	silent := srv.Connect(t)
	if _, err := silent.SubscribeSync("mute"); err != nil {
		t.Fatal(err)
	}
	if err := silent.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		nc := srv.Connect(t)
		p := natsrequest.New(nc, 1)
		b, err := p.Open(1, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Reserve(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Send(0, &nats.Msg{Subject: "mute"}); err != nil {
			t.Fatal(err)
		}
		nc.Close()
		if err := b.Wait(t.Context()); !errors.Is(err, natsrequest.ErrInterrupted) {
			t.Fatalf("Wait: %v, want ErrInterrupted", err)
		}
		b.Close()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRefusedMessageIsNotSent: it holds nothing of the window.
func TestRefusedMessageIsNotSent(t *testing.T) {
	t.Parallel()
	p, nc, _ := service(t)
	b := open(t, p, 1, 0)
	for range 10 {
		if err := b.Reserve(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Send(0, &nats.Msg{Subject: "echo", Data: make([]byte, nc.MaxPayload()+1)}); !errors.Is(err, nats.ErrMaxPayload) {
			t.Fatalf("Send: %v, want ErrMaxPayload", err)
		}
	}
	if m, sent := b.Answer(0); m != nil || sent {
		t.Errorf("%v, sent: %v", m, sent)
	}
	if err := b.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSecondAnswerCountsForNothing: two services answer the same request, and the batch still waits
// for the other one.
func TestSecondAnswerCountsForNothing(t *testing.T) {
	t.Parallel()
	p, _, muted := service(t)
	b := open(t, p, 2, 0)
	send(t, b, 0, "mute", "")
	send(t, b, 1, "mute", "")
	first, second := <-muted, <-muted
	for _, m := range []*nats.Msg{first, first, second} {
		if err := m.Respond(nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, _ := b.Answer(1); m == nil {
		t.Error("the batch did not wait for its second request")
	}
}
