package plaintext

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What stays within this machine is told by its name, and by nothing that others decide.
func TestLocalIsToldByTheName(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.8.9.10": true, "::1": true, "[::1]": true, "::ffff:127.0.0.1": true, "localhost": true, "LocalHost.": true, "a.localhost": true,
		"/tmp/mongodb-27017.sock": true,
		"":                        false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "::ffff:10.0.0.1": false, "127.0.0.1.evil.example": false, "128.0.0.1": false,
		"localhost.evil.example": false, "notlocalhost": false, "127.1": false, "evil.sock": false, "nats": false, "fe80::1%lo": false,
	} {
		if IsLocal(host) != want {
			t.Errorf("%q: %v, want %v", host, !want, want)
		}
	}
}

// A peer elsewhere is warned of, or refused with what to do.
func TestPolicyWarnsOrRefuses(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	lenient := Policy{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	here, mixed := Peer{Name: "NATS", Hosts: []string{"localhost", "::1"}}, Peer{Name: "NATS", Address: "nats://***@far:4222", Hosts: []string{"localhost", "far"}, Advice: "write tls://"}
	for _, p := range []Policy{lenient, {Strict: true}} {
		if err := p.Check(&here); err != nil || log.Len() > 0 {
			t.Errorf("%+v: %v, %s", p, err, &log)
		}
	}
	if err := lenient.Check(&mixed); err != nil || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "nats://***@far:4222") {
		t.Errorf("%v, %s", err, &log)
	}
	err := Policy{Strict: true}.Check(&mixed)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "nats://***@far:4222") || !strings.Contains(err.Error(), "write tls://") {
		t.Errorf("%v", err)
	}
}

// A dialer for this machine follows nobody elsewhere.
func TestLocalDialerStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s.sock")} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		conn, err := LocalDialer(0).DialContext(t.Context(), network, l.Addr().String())
		if err != nil {
			t.Fatal(network, err)
		}
		_ = conn.Close()
	}
	if _, err := LocalDialer(0).DialContext(t.Context(), "tcp", "192.0.2.1:4222"); !errors.Is(err, ErrRefused) {
		t.Errorf("%v, want %v", err, ErrRefused)
	}
}
