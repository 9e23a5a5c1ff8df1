package admin

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const key = `"8e03978e-40d5-43dd-bc93-6894a57f9324"`

// A change that is sent again with its key is made once, and has the first answer; another change
// under the same key is refused.
func TestRepeatedRequestHasTheFirstAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.makeStreams(t)
	r.startWorker(t, nil)
	const path, body = "/v1/groups/billing/pause", `{"reason":"deploy","by":"ada"}`
	first := r.send(t, http.MethodPost, path, body, idempotencyHeader, key)
	revision := decode[PauseResult](t, first).Revision
	if first.header.Get(replayedHeader) != "" {
		t.Errorf("the first: %v", first.header)
	}
	decode[PauseResult](t, r.post(t, "/v1/groups/billing/resume", `{"reason":"deployed"}`)) // somebody else
	again := r.send(t, http.MethodPost, path, body, idempotencyHeader, key)
	if again.status != first.status || again.body != first.body || again.header.Get("ETag") != first.header.Get("ETag") || again.header.Get(replayedHeader) != "true" {
		t.Errorf("again: %d %v %s; want %s", again.status, again.header, again.body, first.body)
	}
	if pauses := decode[PauseList](t, r.get(t, "/v1/groups/billing/pauses")).Pauses; len(pauses) > 0 {
		t.Errorf("it was paused again: %+v", pauses)
	}
	for _, other := range []struct{ method, path, body string }{
		{http.MethodPost, path, `{"reason":"another","by":"ada"}`},
		{http.MethodPost, "/v1/groups/billing/resume", body},
		{http.MethodPost, path + "?x=1", body},
		{http.MethodPatch, path, body},
	} {
		refuses(t, r.send(t, other.method, other.path, other.body, idempotencyHeader, key), http.StatusUnprocessableEntity, "was used for another request")
	}
	refuses(t, r.send(t, http.MethodPost, path, body, idempotencyHeader, key, "If-Match", `"1"`), http.StatusUnprocessableEntity, "was used for another request")
	if next := decode[PauseResult](t, r.send(t, http.MethodPost, path, body, idempotencyHeader, `"next"`)); next.Revision <= revision {
		t.Errorf("with another key: %+v", next)
	}
}

// A key that is no string in quotes is refused before anything is done.
func TestMalformedIdempotencyKeysAreRefused(t *testing.T) {
	t.Parallel()
	r := inMemory(t, Options{})
	for _, text := range []string{"", "abc", `"`, `""`, `"a`, `a"`, `"a"b"`, `"a\x"`, `"a\"`, `"a";p=1`, `"a", "b"`, `"` + strings.Repeat("x", 256) + `"`, "123", ":YQ==:"} {
		refuses(t, r.send(t, http.MethodPost, "/v1/groups/g/pause", `{"reason":"r"}`, idempotencyHeader, text), http.StatusBadRequest, idempotencyHeader)
	}
	if strings.Contains(r.log.String(), "admin change") {
		t.Errorf("something was done: %s", r.log)
	}
	long := strings.Repeat("x", 255)
	for _, fine := range []struct{ text, want string }{{`"a"`, "a"}, {` "a b" `, "a b"}, {`"a\"b\\c"`, `a"b\c`}, {`"` + long + `"`, long}} {
		if got, err := parseIdempotencyKey([]string{fine.text}); got != fine.want || err != nil {
			t.Errorf("%s: %q, %v", fine.text, got, err)
		}
	}
	if _, err := parseIdempotencyKey([]string{`"a"`, `"a"`}); err == nil {
		t.Error("two keys are taken")
	}
	if a := r.get(t, "/v1/groups/g", idempotencyHeader, "abc"); a.status == http.StatusBadRequest {
		t.Errorf("a request that changes nothing: %s", a.body)
	}
}

// tried is a guard, and a way to send it requests with a key.
type tried struct {
	*guard
}

func newTried() *tried {
	return &tried{&guard{api: &API{slots: make(chan struct{}, 4), answers: newAnswerMemory()}}}
}

// send has a request answered by answers, in their turn.
func (g *tried) send(t *testing.T, by, key, body string, next http.HandlerFunc) *bufferedAnswer {
	t.Helper()
	r, err := http.NewRequestWithContext(withCaller(t.Context(), &caller{name: by}), http.MethodPost, "http://localhost/v1/x", strings.NewReader(body))
	must(t, err)
	r.Header.Set(idempotencyHeader, key)
	answer := &bufferedAnswer{header: http.Header{}}
	if !g.workOnce(answer, r, next) {
		t.Fatal("there was no slot")
	}
	return answer
}

func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // it is in memory
		w.WriteHeader(status)
		fmt.Fprintf(w, "%s to %s", text, body)
	}
}

// While a request is worked on its repetition is told to wait.
func TestRepetitionOfARequestThatIsWorkedOnWaits(t *testing.T) {
	t.Parallel()
	g := newTried()
	first := g.send(t, "", key, "b", func(w http.ResponseWriter, _ *http.Request) {
		second := g.send(t, "", key, "b", says(http.StatusOK, "second"))
		if second.status != http.StatusConflict || second.header.Get("Retry-After") == "" {
			t.Errorf("meanwhile: %d %v", second.status, second.header)
		}
		says(http.StatusOK, "first")(w, newRequest(t))
	})
	if first.status != http.StatusOK || !strings.HasPrefix(g.send(t, "", key, "b", says(http.StatusOK, "third")).body.String(), "first") {
		t.Errorf("%d %s", first.status, &first.body)
	}
}

// A key is its caller's: another one with a certificate of its own may use the same.
func TestKeysAreOfOneCaller(t *testing.T) {
	t.Parallel()
	g := newTried()
	for caller, want := range map[string]string{"ada": "one to a", "grace": "two to b"} {
		body, answer, _ := strings.Cut(want[len(want)-1:]+"|"+want[:3], "|")
		if got := g.send(t, caller, key, body, says(http.StatusOK, answer)).body.String(); got != want {
			t.Errorf("%s: %q, want %q", caller, got, want)
		}
	}
}

// What failed by no fault of the request is not kept: its repetition is worked on.
func TestFailuresOfTheServerAreNotKept(t *testing.T) {
	t.Parallel()
	g := newTried()
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusInternalServerError, http.StatusTooManyRequests} {
		g.send(t, "", key, "b", says(status, "failed"))
	}
	func() {
		defer func() { _ = recover() }()
		g.send(t, "", key, "b", func(http.ResponseWriter, *http.Request) { panic("handler") })
	}()
	if a := g.send(t, "", key, "b", says(http.StatusNotFound, "worked")); a.status != http.StatusNotFound || a.body.String() != "worked to b" {
		t.Errorf("%d %s", a.status, &a.body)
	}
	if a := g.send(t, "", key, "b", says(http.StatusOK, "again")); a.status != http.StatusNotFound || a.body.String() != "worked to b" {
		t.Errorf("a refusal was not kept: %d %s", a.status, &a.body)
	}
}

// Answers are kept for a day, and no more of them than have room.
func TestAnswersAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTried()
		isKept := func(key string) bool {
			return g.send(t, "", key, "b", says(http.StatusServiceUnavailable, "")).header.Get(replayedHeader) != ""
		}
		g.send(t, "", key, "b", says(http.StatusOK, "x"))
		time.Sleep(keepAnswers - time.Second)
		if !isKept(key) {
			t.Error("it is forgotten before a day has passed")
		}
		time.Sleep(time.Second)
		if isKept(key) {
			t.Error("it is kept for longer than a day")
		}
		for i := range maxKeptAnswers + 1 {
			g.send(t, "", fmt.Sprintf(`"%d"`, i), "b", says(http.StatusOK, "x"))
		}
		if isKept(`"0"`) || !isKept(`"1"`) {
			t.Error("of one too many the oldest is forgotten, and no other one")
		}
		for i := range 9 {
			g.send(t, "", fmt.Sprintf(`"large%d"`, i), "b", says(http.StatusOK, strings.Repeat("x", 2<<20)))
		}
		if isKept(`"large0"`) || isKept(`"1000"`) || !isKept(`"large8"`) || g.api.answers.bytes > maxKeptAnswerBytes {
			t.Errorf("%d bytes are kept", g.api.answers.bytes)
		}
		if m := g.api.answers; len(m.byKey) != len(m.oldest) {
			t.Errorf("%d keys, %d answers", len(m.byKey), len(m.oldest))
		}
	})
}
