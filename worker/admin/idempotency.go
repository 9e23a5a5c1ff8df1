package admin

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// idempotencyHeader names a request that may be sent again, as the IETF's draft "The
// Idempotency-Key HTTP Header Field" has it.
const idempotencyHeader = "Idempotency-Key"

// replayedHeader marks the answer of an earlier request.
const replayedHeader = "Idempotency-Replayed"

// What is kept of answers.
const (
	maxIdempotencyKey  = 255
	maxKeptAnswers     = 1000
	maxKeptAnswerBytes = 16 << 20
	keepAnswers        = 24 * time.Hour
)

// requestHash tells requests apart.
type requestHash [sha256.Size]byte

// keptAnswer is how a request was answered; status 0: it is being worked on.
type keptAnswer struct {
	key     string
	request requestHash
	status  int
	header  http.Header
	body    []byte
	ended   time.Time
}

// size is about what it takes in memory.
func (k *keptAnswer) size() int { return len(k.key) + len(k.body) + 1024 }

// answerMemory keeps how requests with idempotency keys were answered: the last thousand, in
// 16 MiB, for a day. Its methods are safe for concurrent use.
type answerMemory struct {
	mu     sync.Mutex
	byKey  map[string]*keptAnswer
	oldest []*keptAnswer // those that were answered, in the order in which they were
	bytes  int           // of these
}

func newAnswerMemory() *answerMemory { return &answerMemory{byKey: make(map[string]*keptAnswer)} }

// begin notes that a request is worked on, or returns how it was answered before, or why it is
// refused: its key is that of a request that is worked on (409), or of another one (422).
func (m *answerMemory) begin(key string, request requestHash) (kept *keptAnswer, status int, detail string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(time.Now())
	switch kept = m.byKey[key]; {
	case kept == nil:
		m.byKey[key] = &keptAnswer{key: key, request: request}
		return nil, 0, ""
	case kept.request != request:
		return nil, http.StatusUnprocessableEntity, "the key of " + idempotencyHeader + " was used for another request: make a new key for each change"
	case kept.status == 0:
		return nil, http.StatusConflict, "a request with this " + idempotencyHeader + " is worked on: wait, and send it again for its answer"
	}
	return kept, 0, ""
}

// end keeps the answer of a request that begin has noted. Where there was none, or the fault was
// the server's, nothing is kept: a repetition is worked on.
func (m *answerMemory) end(key string, answer *bufferedAnswer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.byKey[key]
	if answer.status == 0 || answer.status >= http.StatusInternalServerError || answer.status == http.StatusTooManyRequests {
		delete(m.byKey, key)
		return
	}
	kept.status, kept.header, kept.body, kept.ended = answer.status, answer.header.Clone(), bytes.Clone(answer.body.Bytes()), time.Now()
	m.oldest, m.bytes = append(m.oldest, kept), m.bytes+kept.size()
	m.forget(kept.ended)
}

// forget drops the oldest answers that are too old or too many. The caller holds mu.
func (m *answerMemory) forget(now time.Time) {
	n := 0
	for n < len(m.oldest) && (len(m.oldest)-n > maxKeptAnswers || m.bytes > maxKeptAnswerBytes || now.Sub(m.oldest[n].ended) >= keepAnswers) {
		delete(m.byKey, m.oldest[n].key)
		m.bytes -= m.oldest[n].size()
		m.oldest[n] = nil
		n++
	}
	m.oldest = m.oldest[n:]
}

// replay answers a repetition.
func (k *keptAnswer) replay(answer *bufferedAnswer) {
	maps.Copy(answer.header, k.header)
	answer.header.Set(replayedHeader, "true")
	answer.WriteHeader(k.status)
	_, _ = answer.body.Write(k.body) // never fails
}

// parseIdempotencyKey reads the header: a string in quotes, as in RFC 9651. Empty: there is none.
func parseIdempotencyKey(values []string) (string, error) {
	if len(values) == 0 {
		return "", nil
	}
	malformed := fmt.Errorf(`the header %s must be one string in double quotes, of 1 to %d visible characters, such as "8e03978e-40d5-43dd-bc93-6894a57f9324"`, idempotencyHeader, maxIdempotencyKey)
	text := strings.Trim(values[0], " ")
	if len(values) > 1 || len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return "", malformed
	}
	var key strings.Builder
	for text = text[1 : len(text)-1]; text != ""; text = text[1:] {
		switch c := text[0]; {
		case c < ' ' || c > '~' || c == '"':
			return "", malformed
		case c == '\\':
			if text = text[1:]; text == "" || text[0] != '"' && text[0] != '\\' {
				return "", malformed
			}
		}
		key.WriteByte(text[0])
	}
	if key.Len() == 0 || key.Len() > maxIdempotencyKey {
		return "", malformed
	}
	return key.String(), nil
}

// hashRequest is the same for a repetition, and for nothing else. It reads the body, which was read
// from the client before, and puts it back.
func hashRequest(r *http.Request) (hash requestHash, err error) {
	var body []byte
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			return hash, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return sha256.Sum256(fmt.Appendf(nil, "%s\n%q\n%q\n%s", r.Method, r.URL.RequestURI(), r.Header.Values("If-Match"), body)), nil
}

// workOnce is work for a request that may be a repetition: what was answered is answered again. A
// key is its caller's alone, which is who shows a certificate, or else everybody with the token.
func (g *guard) workOnce(answer *bufferedAnswer, r *http.Request, next http.Handler) bool {
	key, err := parseIdempotencyKey(r.Header.Values(idempotencyHeader))
	switch {
	case isRead(r) || key == "" && err == nil:
		return g.work(answer, r, next)
	case err != nil:
		writeProblem(answer, http.StatusBadRequest, err.Error())
		return true
	}
	hash, err := hashRequest(r)
	if err != nil {
		writeProblem(answer, http.StatusBadRequest, err.Error())
		return true
	}
	key = callerFrom(r.Context()).name + "\x00" + key
	kept, status, detail := g.api.answers.begin(key, hash)
	switch {
	case status != 0:
		if status == http.StatusConflict {
			answer.header.Set("Retry-After", "1")
		}
		writeProblem(answer, status, detail)
		return true
	case kept != nil:
		kept.replay(answer)
		return true
	}
	defer func() { g.api.answers.end(key, answer) }()
	return g.work(answer, r, next)
}
