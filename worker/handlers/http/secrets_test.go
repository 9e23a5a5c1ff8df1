package http

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/internal/testing/handlertest"
)

// TestHTTPShowsNoSecrets: whatever happens, and whatever the service repeats of what it was sent.
func TestHTTPShowsNoSecrets(t *testing.T) {
	t.Parallel()
	const path = "/services/hunter2path?token=hunter3%20q&hunter4"
	o := func() *Options {
		return &Options{Timeout: 300 * time.Millisecond, Headers: http.Header{
			"Authorization": {"Bearer hunter5"}, "X-Api-Key": {"hunter6", "hunter7 hunter8"},
		}}
	}
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = refused.Close()
	endpoints := map[string]string{"refused": "http://" + refused.Addr().String(), "unknown": "http://hunter.invalid"}
	for name, f := range map[string]func(net.Conn, <-chan struct{}){
		"hangs": tellAndHang(""), "closes": tell(""),
		"garbage":   tell("hunter5 hunter6 hunter2path\n\n"),
		"header":    tell("HTTP/1.1 200 OK\nhunter5\n\n"),
		"status":    tell("HTTP/1.1 500 hunter5\nContent-Length: 0\n\n"),
		"long body": tell("HTTP/1.1 500 Oops\n\n" + strings.Repeat(".", maxShownBytes-10) + "hunter7 hunter8"),
		"redirect":  tell("HTTP/1.1 302 Found\nLocation: http://u:hunter6@h/services/hunter2path?token=hunter3\nContent-Length: 0\n\n"),
	} {
		endpoints[name], _ = raw(t, f)
	}
	endpoints["echo"] = serve(t, func(w http.ResponseWriter, r *http.Request) {
		dump, _ := httputil.DumpRequest(r, true)
		user, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, "%s %q %s %s %s", dump, r.URL.Query(), r.URL.Path, user, password)
	})
	endpoints["TLS to none"] = strings.Replace(endpoints["echo"], "http:", "https:", 1)
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	endpoints["certificate"] = untrusted.URL
	knowing := []string{"garbage", "header", "status", "long body", "redirect"} // services that make up what is configured
	for name, endpoint := range endpoints {
		for _, options := range []*Options{o(), {Timeout: 300 * time.Millisecond}} {
			h := newHTTP(t, withUser(t, endpoint, "hunter0", "hunter1:/ä", path), options)
			err := h.Handle(handlertest.Attempt(t, 1), handlertest.Placed())
			if err == nil {
				t.Fatalf("%s: done", name)
			}
			for e := err; e != nil; e = unwrap(e) {
				if text := strings.ReplaceAll(fmt.Sprintf("%v %+v", e, e), "hunter.invalid", ""); strings.Contains(text, "hunter") || strings.Contains(text, "aHVudGVy") {
					if options.Headers != nil || !slices.Contains(knowing, name) {
						t.Errorf("%s: %s", name, text)
					}
				}
			}
		}
	}
}

func unwrap(err error) error {
	u, ok := err.(interface{ Unwrap() error })
	if !ok {
		return nil
	}
	return u.Unwrap()
}

// TestNewHTTPShowsNoSecrets: not even where it cannot tell what is one.
func TestNewHTTPShowsNoSecrets(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"":                                       "it is empty",
		"host/hunter2":                           "its scheme is neither",
		"hunter2:hunter3@host":                   "its scheme is neither",
		"/hunter2":                               "its scheme is neither",
		"htp://hunter2@host/hunter3":             "its scheme is neither",
		"ftp://hunter2:hunter3@host":             "its scheme is neither",
		"http://":                                "names no host",
		"http:hunter2":                           "names no host",
		"http://host/#hunter2":                   "it has a fragment",
		"https:///hunter2":                       "names no host: write a URL such as https://localhost:8080/events",
		"http://:8080/hunter2":                   "names no host",
		"http://u:hunter2@host:0":                "its port is not from 1 to 65535",
		"http://u:hunter2@host:65536":            "its port is not from 1 to 65535",
		"http://u:hunt/er2@host":                 "it is no URL",
		"http://u:hunter2%zz@host":               "it is no URL",
		"http://host/hunter2\n":                  "it is no URL",
		"http://[::1/hunter2":                    "it is no URL",
		"http://host:hunter2/":                   "it is no URL",
		"http://user:hunter2 hunter3@host/":      "it is no URL",
		"https://hunter2:\x00hunter3@host/query": "it is no URL",
	} {
		_, err := New("g", endpoint, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunt") {
			t.Errorf("%q: %v, want %s", endpoint, err, want)
		}
	}
	for want, headers := range map[string]http.Header{
		"what HTTP does not allow":                               {"Authorization: hunter2": {"x"}},
		"value of X-Api-Key, at byte 7 of 8":                     {"X-API-key": {"hunter2\n"}},
		"Idempotency-Key is set for each request: leave it out":  {"idempotency-key": {"hunter2"}},
		"Content-Length belongs to the connection: leave it out": {"content-length": {"hunter2"}},
	} {
		_, err := New("g", "http://host", &Options{Headers: headers})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunt") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestNewHTTPValidates(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]*Options{
		"Options.Timeout is 1ns: it must be from 1ms to 24h0m0s": {Timeout: 1},
		"Options.Timeout is -1s":                                 {Timeout: -time.Second},
		"Options.Timeout is 25h0m0s":                             {Timeout: 25 * time.Hour},
		"Options.Concurrency is -1: it must be from 1 to 100000": {Concurrency: -1},
	} {
		if _, err := New("g", "http://host", o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := New("", "http://host", nil); err == nil || !strings.Contains(err.Error(), "the group is empty") {
		t.Errorf("%v", err)
	}
	o := &Options{Headers: http.Header{"Host": {"h"}}}
	if _, err := New("g", "https://u:p@[::1]:8443/a?b", o); err != nil || len(o.Headers) != 1 || o.Timeout != 0 {
		t.Errorf("%v, options %+v", err, o)
	}
}

// FuzzHTTPSecrets: an answer that repeats secrets anywhere shows none.
func FuzzHTTPSecrets(f *testing.F) {
	f.Add("before", "after", uint16(1000))
	f.Add("\xff\x00", "hunt", uint16(1))
	endpoint, err := parseEndpoint("http://u:hunter2@host/?token=hunter3")
	if err != nil {
		f.Fatal(err)
	}
	s := newRedactorFor(endpoint, http.Header{"X": {"hunter45"}}, []string{"whsec_hunter67"})
	f.Fuzz(func(t *testing.T, before, after string, n uint16) {
		for _, secret := range []string{"hunter2", "hunter3", "hunter45", "hunter67"} {
			shown := s.cleanText(before+secret+after, int(n))
			if len(shown) > int(n) || strings.Contains(shown, secret) && !strings.Contains(before+after, "hunter") {
				t.Errorf("%q shows %q", before+secret+after, shown)
			}
			if strings.ContainsAny(shown, "\x00\r\n\t\x1b") {
				t.Errorf("%q", shown)
			}
		}
	})
}

// FuzzParseEndpoint: what is taken has a host, and what is refused is not shown.
func FuzzParseEndpoint(f *testing.F) {
	f.Add("https://u:p@host:8443/path?query#fragment")
	f.Add("u:p@host")
	f.Fuzz(func(t *testing.T, endpoint string) {
		u, err := parseEndpoint(endpoint)
		if err == nil && (u.Hostname() == "" || u.Fragment != "") {
			t.Errorf("%q is taken as %+v", endpoint, u)
		}
	})
}
