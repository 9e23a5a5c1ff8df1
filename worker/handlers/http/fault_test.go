package http

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/handlertest"
)

// prompt is far less than the time-out of the requests below, and far more than a machine that
// others use takes.
const prompt = 30 * time.Second

// drip writes text again and again, slowly, until the client is gone.
func drip(c net.Conn, closed <-chan struct{}, text string) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-closed:
			return
		case <-again.C:
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

// flood writes as much as is taken.
func flood(c net.Conn, status string) (written int64) {
	_, _ = io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 10000000000\r\n\r\n")
	n, _ := io.Copy(c, io.LimitReader(zeros{}, 10_000_000_000))
	return n
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestHTTPSuccessIsDoneAtOnce: the status has said it, whatever becomes of the body.
func TestHTTPSuccessIsDoneAtOnce(t *testing.T) {
	t.Parallel()
	var flooded atomic.Int64
	for name, f := range map[string]func(net.Conn, <-chan struct{}){
		"body hangs":        tellAndHang("HTTP/1.1 200 OK\nContent-Length: 5\n\nab"),
		"chunks hang":       tellAndHang("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\na\n"),
		"chunks are broken": tell("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nzz\n"),
		"closes in between": tell("HTTP/1.1 201 Created\nContent-Length: 100\n\nab"),
		"body drips": func(c net.Conn, closed <-chan struct{}) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
			drip(c, closed, "x")
		},
		"10 GB":                func(c net.Conn, _ <-chan struct{}) { flooded.Store(flood(c, "200 OK")) },
		"HTTP/1.0":             tell("HTTP/1.0 200 OK\n\nhello"),
		"HTTP/1.0 hangs":       tellAndHang("HTTP/1.0 200 OK\n\nhello"),
		"after 100 and 103":    tell("HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: <a>\n\nHTTP/1.1 204 No Content\n\n"),
		"before it is read":    tell("HTTP/1.1 202 Accepted\nConnection: close\n\n"),
		"lies about its gzips": tell("HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 3\n\nabc"),
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, _ := raw(t, f)
			h := newHTTP(t, endpoint, &Options{Timeout: time.Minute})
			start := time.Now()
			if err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed()); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > prompt {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Cleanup(func() {
		if n := flooded.Load(); n > 100<<20 {
			t.Errorf("%d bytes were taken", n)
		}
	})
}

// TestHTTPFailureIsToldAtOnce: with what has come of the body.
func TestHTTPFailureIsToldAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		serve func(net.Conn, <-chan struct{})
		want  string
	}{
		"body hangs": {tellAndHang("HTTP/1.1 500 Oops\nContent-Length: 500\n\nout of paper"), "500 Internal Server Error: out of paper"},
		"closes":     {tell("HTTP/1.1 503 Oops\nContent-Length: 500\n\nout of paper"), "503 Service Unavailable: out of paper"},
		"10 GB":      {func(c net.Conn, _ <-chan struct{}) { flood(c, "500 Oops") }, "500 Internal Server Error"},
		"no body":    {tell("HTTP/1.1 500 Oops\nContent-Length: 0\n\n"), "500 Internal Server Error"},
		"upgrade":    {tellAndHang("HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: x\n\nhello"), "101 Switching Protocols"},
		"unknown":    {tell("HTTP/1.1 799 Oops\nContent-Length: 0\n\n"), "799"},
		"drips": {func(c net.Conn, closed <-chan struct{}) {
			_, _ = io.WriteString(c, "HTTP/1.1 502 Oops\r\nContent-Length: 1000000\r\n\r\n")
			drip(c, closed, "x")
		}, "502 Bad Gateway: x"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, _ := raw(t, c.serve)
			h := newHTTP(t, endpoint, &Options{Timeout: time.Minute})
			start := time.Now()
			err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed())
			if err == nil || consumer.IsPermanent(err) || !strings.HasPrefix(err.Error(), "POST "+endpoint+": "+c.want) || len(err.Error()) > 2*maxShownBytes {
				t.Errorf("%v, want %s", err, c.want)
			}
			if took := time.Since(start); took > prompt {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestHTTPWithoutAnAnswer: whatever is no answer is tried again, once per run.
func TestHTTPWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		serve func(net.Conn, <-chan struct{})
		want  string
	}{
		"hangs":              {tellAndHang(""), "no answer within 300ms"},
		"hangs in the line":  {tellAndHang("HTTP/1.1 20"), "no answer within 300ms"},
		"hangs in a header":  {tellAndHang("HTTP/1.1 200 OK\nContent-"), "no answer within 300ms"},
		"hints and hangs":    {tellAndHang("HTTP/1.1 103 Early Hints\n\n"), "no answer within 300ms"},
		"hints without end":  {tellAndHang(strings.Repeat("HTTP/1.1 103 Early Hints\n\n", 100_000)), "headers exceeded"},
		"closes":             {tell(""), "EOF"},
		"closes in a header": {tell("HTTP/1.1 200 OK\nContent-"), "malformed MIME header"},
		"garbage":            {tell("220 mail.example ESMTP\x00\x1b[31m" + strings.Repeat("x", 10_000) + "\n\n"), "malformed HTTP"},
		"headers too long":   {tell("HTTP/1.1 200 OK\nA: " + strings.Repeat("x", 10*maxResponseBytes) + "\n\n"), "headers exceeded"},
		"drips headers": {func(c net.Conn, closed <-chan struct{}) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			drip(c, closed, "A: b\r\n")
		}, "no answer within 300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, connections := raw(t, c.serve)
			timeout := time.Minute
			if strings.HasPrefix(c.want, "no answer") {
				timeout = 300 * time.Millisecond
			}
			h := newHTTP(t, endpoint, &Options{Timeout: timeout})
			err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed())
			if Meaning(handlertest.MeaningOf(err)) != Unavailable || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 2*maxShownBytes ||
				strings.ContainsAny(err.Error(), "\x00\x1b") {
				t.Errorf("%v, want %s", err, c.want)
			}
			if strings.HasPrefix(c.want, "no answer") != errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v is a deadline: %t", err, errors.Is(err, context.DeadlineExceeded))
			}
			if n := connections.Load(); n != 1 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}

func TestHTTPConnectionRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := "http://" + l.Addr().String()
	_ = l.Close()
	if err := newHTTP(t, endpoint, nil).Handle(handlertest.Attempt(t, 1), handlertest.Placed()); !errors.Is(err, syscall.ECONNREFUSED) || consumer.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	err = newHTTP(t, "http://no-such-host.invalid", nil).Handle(handlertest.Attempt(t, 1), handlertest.Placed())
	if dns, ok := errors.AsType[*net.DNSError](err); !ok || consumer.IsPermanent(err) {
		t.Errorf("%v, %v", err, dns)
	}
}

// TestHTTPSendsOnceInARun: net/http repeats a request by itself that has an Idempotency-Key
// and met a connection's end. Nobody would count that repeat, and the service might still be
// at the first one.
func TestHTTPSendsOnceInARun(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	endpoint := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if requests.Add(1)%2 == 0 {
			panic(http.ErrAbortHandler) // closes the connection, which was used before
		}
	})
	h := newHTTP(t, endpoint, nil)
	e := handlertest.Placed()
	e.Headers = map[string][]string{"X-Idempotency-Key": {"mine"}, "Idempotency-Key": {"mine"}}
	for range 5 {
		if err := h.Handle(handlertest.Attempt(t, 1), e); err != nil {
			t.Fatal(err)
		}
		if err := h.Handle(handlertest.Attempt(t, 1), e); err == nil || consumer.IsPermanent(err) {
			t.Errorf("a connection that was closed under the request: %v", err)
		}
	}
	if n := requests.Load(); n != 10 {
		t.Errorf("%d requests in 10 runs", n)
	}
}
