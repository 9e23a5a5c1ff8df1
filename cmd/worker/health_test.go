package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// worker health exits as a health check wants it to, and shows what was answered.
func TestHealthExitsAsTheWorkerIs(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/livez":
			_, _ = w.Write([]byte("ok\n"))
		case "/hangs":
			<-hang
		case "/moved":
			http.Redirect(w, r, "/livez", http.StatusFound)
		default:
			http.Error(w, "[-]nats failed: away", http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(hang) })
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, c := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"well":          {[]string{s.URL + "/livez"}, 0, "ok\n", ""},
		"not ready":     {[]string{s.URL + "/readyz"}, 1, "", "[-]nats failed: away"},
		"says why":      {[]string{s.URL + "/readyz"}, 1, "", "/readyz answers 503"},
		"redirected":    {[]string{s.URL + "/moved"}, 1, "", "answers 302"},
		"hangs":         {[]string{"--timeout", "50ms", s.URL + "/hangs"}, 1, "", "does not answer"},
		"not there":     {[]string{gone.URL + "/livez"}, 1, "", "does not answer"},
		"no URL":        {[]string{"127.0.0.1:8488"}, 2, "", "is no URL"},
		"two":           {[]string{s.URL, s.URL}, 2, "", "unexpected argument"},
		"no time":       {[]string{"--timeout", "0s", s.URL}, 2, "", "must be above 0"},
		"hides secrets": {[]string{"http://u:hunter2@" + strings.TrimPrefix(gone.URL, "http://")}, 1, "", "xxxxx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			begun := time.Now()
			status := execArgs(t.Context(), append([]string{"worker", "health"}, c.args...), strings.NewReader(""), &stdout, &stderr)
			if status != c.status || stdout.String() != c.stdout || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("%d %q %q after %v, want %d %q %q", status, &stdout, &stderr, time.Since(begun), c.status, c.stdout, c.stderr)
			}
			if strings.Contains(stderr.String(), "hunter2") {
				t.Errorf("shows a password: %s", &stderr)
			}
		})
	}
}
