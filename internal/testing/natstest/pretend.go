package natstest

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// Pretend listens as a server of some version would that greets its clients, answers pings, and
// does nothing else. It returns its URL, and ends with the test.
func Pretend(t testing.TB, version string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	var talking sync.WaitGroup
	talking.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			talking.Go(func() { greet(c, version) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // That ends the accepting.
		talking.Wait()
	})
	return "nats://" + l.Addr().String()
}

// greet talks until the client hangs up.
func greet(c net.Conn, version string) {
	defer c.Close()
	if _, err := fmt.Fprintf(c, "INFO {\"server_id\":\"S\",\"version\":%q,\"proto\":1,\"headers\":true,\"max_payload\":1048576,\"jetstream\":true}\r\n", version); err != nil {
		return
	}
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "PING") {
			if _, err := c.Write([]byte("PONG\r\n")); err != nil {
				return
			}
		}
	}
}
