package admin

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"time"
)

// bufferedAnswer keeps an answer until it is sent.
type bufferedAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (b *bufferedAnswer) Header() http.Header { return b.header }

// WriteHeader implements http.ResponseWriter.
func (b *bufferedAnswer) WriteHeader(status int) { b.status = cmp.Or(b.status, status) }

// Write implements http.ResponseWriter.
func (b *bufferedAnswer) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(p)
}

// send writes the answer.
func (b *bufferedAnswer) send(w http.ResponseWriter) {
	w.WriteHeader(cmp.Or(b.status, http.StatusOK))
	_, _ = w.Write(b.body.Bytes()) // nobody else to tell
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // nobody else to tell
}

// patientWriter sends what is written, and gives the client a while to take each part.
type patientWriter struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration // for each part
	begun    bool
}

// Header implements http.ResponseWriter.
func (p *patientWriter) Header() http.Header { return p.w.Header() }

// WriteHeader implements http.ResponseWriter.
func (p *patientWriter) WriteHeader(status int) {
	p.begun = true
	p.w.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (p *patientWriter) Write(b []byte) (int, error) {
	p.begun = true
	_ = p.control.SetWriteDeadline(time.Now().Add(p.patience)) // not every server can
	n, err := p.w.Write(b)
	if err == nil && p.Header().Get("Content-Type") == eventType {
		err = p.control.Flush()
	}
	return n, err
}
