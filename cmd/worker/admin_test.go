package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/internal/testing/natstest"
)

const adminTestToken = "correct-horse-battery-staple"

// getAdmin asks an API with the token of the test.
func getAdmin(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminTestToken)
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// worker admin prints where it is, answers with the token of its file, and ends when it is told to.
func TestAdminServesUntilItIsToldToEnd(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(adminTestToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	ended := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		ended <- execArgs(ctx, []string{"worker", "admin", "--nats", natstest.Start(t, nil).URL(), "--admin", "127.0.0.1:0", "--admin-token-file", token, "--admin-read-only"}, strings.NewReader(""), out, &stderr)
		out.Close()
	}()
	url, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		t.Fatalf("no URL: %v: %d %s", err, <-ended, &stderr)
	}
	url = strings.TrimSpace(url)
	if status, body := getAdmin(t, url+"/v1/groups"); status != http.StatusOK || body != `{"groups":[]}`+"\n" {
		t.Errorf("groups: %d %s", status, body)
	}
	cancel()
	if status := <-ended; status != 0 || strings.Contains(stderr.String(), adminTestToken) {
		t.Errorf("exit status %d: %s", status, &stderr)
	}
}

// What the API cannot be served with is said before anything is served.
func TestAdminRefusesWhatIsNotSafe(t *testing.T) {
	url := natstest.Start(t, nil).URL()
	for says, c := range map[string]struct {
		token  string
		status int
		args   []string
	}{
		"set a token":               {"", 2, []string{"--admin", "0.0.0.0:0"}},
		"say by which names":        {adminTestToken, 2, []string{"--admin", "0.0.0.0:0"}},
		"the token has 6 bytes":     {"secret", 2, nil},
		"no such file":              {"", 1, []string{"--admin-token-file", "nowhere"}},
		"must be a host and a port": {"", 2, []string{"--admin", "8488"}},
		"unexpected argument":       {"", 2, []string{"127.0.0.1:0"}},
		"client certificates":       {"", 2, []string{"--admin-client-ca", "ca.pem", "--admin", "127.0.0.1:0"}},
	} {
		t.Setenv(adminTokenVariable, c.token)
		var stdout, stderr bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		status := execArgs(ctx, append([]string{"worker", "admin", "--nats", url}, c.args...), strings.NewReader(""), &stdout, &stderr)
		cancel()
		if status != c.status || !strings.Contains(stderr.String(), says) || stdout.Len() > 0 {
			t.Errorf("%q: status %d, want %d, and %q: %s%s", c.args, status, c.status, says, &stdout, &stderr)
		}
	}
}

// A worker that is told to end is unready while what it runs finishes, and can be watched.
func TestDrainingWorkerIsUnreadyAndAnswers(t *testing.T) {
	t.Parallel()
	h, address := newHouse(t), freeAddress(t)
	h.env = append(h.env, "NATS_URL="+natstest.Start(t, nil).URL(), adminTokenVariable+"="+adminTestToken)
	w := h.start("run", "--topic", "t", "--group", "billing", "--provision", "--admin", address, "--exec", `echo up >started; while ! test -e told; do sleep 0.01; done`)
	w.says(`msg="admin API"`)
	awaitAdmin(t, address, http.StatusOK)
	h.publish("t", event)
	h.wait("started")
	w.signal(syscall.SIGTERM)
	awaitAdmin(t, address, http.StatusServiceUnavailable)
	for body := ""; !strings.Contains(body, `"draining"`); {
		var status int
		if status, body = getAdmin(t, "http://"+address+"/v1/groups/billing"); status != http.StatusOK || t.Context().Err() != nil {
			t.Fatalf("while it drains: %d %s", status, body)
		}
	}
	h.touch("told")
	w.exits(0)
	if status, body := getAdmin(t, "http://"+address+"/livez"); status != 0 {
		t.Errorf("after it has ended: %d %s", status, body)
	}
}

// awaitAdmin waits until /readyz has a status.
func awaitAdmin(t *testing.T, address string, want int) {
	t.Helper()
	for {
		status, body := getAdmin(t, "http://"+address+"/readyz?verbose")
		if status == want {
			return
		}
		if status == 0 || t.Context().Err() != nil {
			t.Fatalf("%d %s; want %d", status, body, want)
		}
	}
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
