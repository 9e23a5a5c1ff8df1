package header

import (
	"strings"
	"testing"
)

// TestWhoMaySetWhat: each header is nobody's but the request's own, the operator's, or anybody's.
func TestWhoMaySetWhat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names              string
		settable, passable bool
	}{
		{"ce-id CE-SOURCE Ce-Time idempotency-key X-Idempotency-Key onceish-topic Onceish-Attempt ONCEISH-GROUP", false, false},
		{"connection Transfer-Encoding content-length Expect Upgrade HTTP2-Settings", false, false},
		{"a:b ä {x}", false, false},
		{"Authorization cookie Host X-Forwarded-For x-remote-user Proxy Nats-X Content-Type X_Mine", true, false},
		{"X-Mine traceparent Onceish-Mine Ce-Mine Content-Encoding", true, true},
	} {
		for name := range strings.FieldsSeq(c.names) {
			if err := Settable(name); (err == nil) != c.settable {
				t.Errorf("an operator sets %s: %v", name, err)
			}
			if err := Passable(name); (err == nil) != c.passable {
				t.Errorf("an event brings %s: %v", name, err)
			}
		}
	}
	for _, name := range []string{"", "a b", "a\n", "hunter2: x"} {
		if err := Settable(name); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestIllegalByte(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{"": -1, "a\tb ü": -1, "ab\n": 2, "\x00": 0, "a\x7f": 1} {
		if got := IllegalByte(value); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
}
