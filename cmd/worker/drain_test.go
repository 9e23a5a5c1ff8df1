package main

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// A worker ends within --drain and another 5 s, although NATS has stopped answering without closing
// a connection.
func TestDrainEndsInTimeWhileNATSHangs(t *testing.T) {
	t.Parallel()
	const drain = 2 * time.Second
	for name, c := range map[string]struct {
		args   []string
		status int
	}{
		"idle":                    {[]string{"--exec", `echo up >started`}, 0},
		"a command that waits":    {[]string{"--exec", `echo up >started; exec sleep 1000`}, 3},
		"a command that is deaf":  {[]string{"--exec", `trap '' TERM; echo up >started; sleep 1000; sleep 1000`}, 3},
		"a command that finishes": {[]string{"--exec", `echo up >started; while ! test -e told; do sleep 0.01; done`}, 3},
		"a stream":                {[]string{"--exec-mode", "stream", "--exec", `read -r line; echo up >started; exec sleep 1000`}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := natstest.Start(t, nil)
			p, err := proxy.New(server.Addr())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			h := newHouse(t)
			h.env = append(h.env, "NATS_URL="+server.URL())
			w := h.start(append([]string{"run", "--topic", "t", "--group", "g", "--provision", "--nats", "nats://" + p.Addr(), "--drain", drain.String()}, c.args...)...)
			w.says("msg=running")
			h.publish("t", event)
			h.wait("started")
			if c.status == 0 {
				w.settled(h)
			}
			p.Blackhole(proxy.ToServer, true)
			p.Blackhole(proxy.ToClient, true)
			start := time.Now()
			w.signal(syscall.SIGTERM)
			w.says("shutting down")
			h.touch("told")
			<-w.ended
			if took := time.Since(start); took > drain+5*time.Second+3*time.Second { // 3 s for a busy machine
				t.Errorf("it took %v", took)
			}
			t.Logf("it took %v: %v", time.Since(start), w.cmd.ProcessState)
			if got := w.cmd.ProcessState.ExitCode(); got != c.status {
				t.Errorf("exit status %d, want %d", got, c.status)
			}
		})
	}
}

// touch makes a file.
func (h *house) touch(name string) {
	h.t.Helper()
	if err := os.WriteFile(h.path(name), nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
}
