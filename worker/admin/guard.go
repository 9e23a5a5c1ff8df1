package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/worker/admin/dashboard"
)

// guard stands before all operations.
type guard struct {
	api    *API
	hosts  []string
	prefix string
	spec   []byte
}

// What a request may send.
const (
	maxBody   = 4 << 20
	readBody  = 10 * time.Second
	writeBody = 30 * time.Second
)

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	switch {
	case r.URL.Path == "/livez" && isRead(r):
		g.api.serveLiveness(w)
		return
	case r.URL.Path == "/readyz" && isRead(r) && !r.URL.Query().Has("verbose"):
		g.admit(w, r, http.HandlerFunc(g.api.serveReadiness))
		return
	}
	if dashboard.Serves(r) && g.isKnownHost(r) {
		g.servePage(w, r)
		return
	}
	if status, detail := g.refuse(r); status != 0 {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		g.api.o.Logger.Warn("admin request refused", "status", status, "why", detail, "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr)
		writeProblem(w, status, detail)
		return
	}
	r = r.WithContext(withCaller(r.Context(), newCaller(r, g.prefix)))
	switch {
	case r.URL.Path == "/readyz" && isRead(r):
		g.admit(w, r, http.HandlerFunc(g.api.serveReadiness))
	case r.URL.Path == "/openapi.json" && isRead(r):
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(g.spec) // nobody else to tell
	case r.URL.Path == "/metrics" && isRead(r) && g.api.o.Metrics != nil:
		g.admit(w, r, g.api.o.Metrics)
	case isExport(r):
		g.stream(w, r, g.api.streams, "exports run")
	case isLive(r) && g.api.streamsEnd():
		writeProblem(w, http.StatusServiceUnavailable, "the process drains: ask for /v1/overview now and then")
	case isLive(r):
		g.stream(w, r, g.api.live, "streams are open")
	default:
		g.admit(w, r, http.HandlerFunc(g.serveOperation))
	}
}

// setHeaders sets what every answer has: nothing of it is kept, guessed at, run or framed.
func setHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

func isExport(r *http.Request) bool {
	return r.Method == http.MethodGet && (r.URL.Path == "/export" || r.URL.Path == "/"+Version+"/export")
}

// refuse returns why a request is not answered. 0: it is.
func (g *guard) refuse(r *http.Request) (status int, detail string) {
	switch {
	case !g.isKnownHost(r):
		return http.StatusMisdirectedRequest, fmt.Sprintf("this server has not the name %.100q: use a name that it was given", r.Host)
	case !g.api.isAuthorized(r):
		return http.StatusUnauthorized, "the token is missing, or another one: send the header Authorization: Bearer TOKEN"
	case isRead(r) || r.Method == http.MethodOptions:
		return 0, ""
	}
	return g.refuseChange(r)
}

func (g *guard) isKnownHost(r *http.Request) bool { return slices.Contains(g.hosts, hostName(r.Host)) }

// servePage answers with a part of the dashboard, which has nothing of what the API knows: it asks
// for that, with the token. Its files are named relative to a path that ends with a slash.
func (g *guard) servePage(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "" {
		w.Header().Set("Location", g.prefix+"/")
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	g.api.page.ServeHTTP(w, r)
}

func (g *guard) refuseChange(r *http.Request) (status int, detail string) {
	if g.api.o.ReadOnly {
		return http.StatusForbidden, "this API is read-only"
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return http.StatusForbidden, "changes are not taken from pages of other sites"
	}
	if r.Method == http.MethodDelete && r.ContentLength == 0 {
		return 0, ""
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return http.StatusUnsupportedMediaType, "the body must be JSON: send the header Content-Type: application/json"
	}
	return 0, ""
}

// isAuthorized compares digests, which takes as long whatever the token is.
func (a *API) isAuthorized(r *http.Request) bool {
	if a.o.Token == "" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(given[:], a.token[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// allowedHosts are the names that a request may have.
func allowedHosts(configured, more []string) []string {
	if len(configured) == 0 && len(more) == 0 {
		configured = []string{"localhost", "127.0.0.1", "::1"}
	}
	out := []string{}
	for _, h := range slices.Concat(configured, more) {
		out = append(out, strings.ToLower(strings.Trim(h, "[]")))
	}
	return out
}

// hostName is a host without its port.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// admit reads the request, waits for a slot, works, gives the slot back, and answers: whoever is
// slow to send or to read has no slot meanwhile.
func (g *guard) admit(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if err := readRequest(w, r); err != nil {
		status := http.StatusBadRequest
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			status = http.StatusRequestEntityTooLarge
		}
		w.Header().Set("Connection", "close")
		writeProblem(w, status, fmt.Sprintf("the body cannot be read: it may have %d bytes, and take %v", maxBody, readBody))
		return
	}
	answer := &bufferedAnswer{header: w.Header()}
	if !g.workOnce(answer, r, next) {
		w.Header().Set("Retry-After", "1")
		writeProblem(w, http.StatusServiceUnavailable, "too many requests are worked on: try again in a second")
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(g.api.o.writeBody)) // not every server can
	answer.send(w)
}

// work runs next in a slot. It reports whether there was one.
func (g *guard) work(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	wait := time.NewTimer(awaitSlot)
	defer wait.Stop()
	select {
	case g.api.slots <- struct{}{}:
	case <-wait.C:
		return false
	case <-ctx.Done():
		return false
	}
	defer func() { <-g.api.slots }()
	next.ServeHTTP(w, r.WithContext(ctx))
	return true
}

// readRequest replaces the body of a request by what was read of it.
func readRequest(w http.ResponseWriter, r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(readBody)) // not every server can
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return err
	}
	_ = control.SetReadDeadline(time.Time{}) // the connection is watched while the request is worked on
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// stream lets a request write its answer as it goes, if there is a slot.
func (g *guard) stream(w http.ResponseWriter, r *http.Request, slots chan struct{}, taken string) {
	select {
	case slots <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "10")
		writeProblem(w, http.StatusServiceUnavailable, fmt.Sprintf("%d %s: try again when one has ended", cap(slots), taken))
		return
	}
	defer func() { <-slots }()
	g.serveOperation(&patientWriter{w: w, control: http.NewResponseController(w), patience: g.api.o.writeBody}, r)
}

// serveOperation runs the operation of a request. What there is none of is a problem.
func (g *guard) serveOperation(w http.ResponseWriter, r *http.Request) {
	handler, pattern := g.api.mux.Handler(r)
	if pattern != "" {
		g.api.mux.ServeHTTP(w, r)
		return
	}
	missing := &bufferedAnswer{header: make(http.Header)}
	handler.ServeHTTP(missing, r)
	if allow := missing.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		writeProblem(w, http.StatusMethodNotAllowed, fmt.Sprintf("there is no %s of %.200q, but %s", r.Method, r.URL.Path, allow))
		return
	}
	writeProblem(w, http.StatusNotFound, fmt.Sprintf("there is no %.200q: /openapi.json lists all paths", r.URL.Path))
}
