package bus

import "strings"

// Headers keep the case of their names and repeated values, as NATS does.
type Headers map[string][]string

// Get returns the first value under the name, in whatever case its letters are; empty if there is
// none. The exact spelling wins over others.
func (h Headers) Get(name string) string {
	if vs, ok := h[name]; ok {
		return first(vs)
	}
	for k, vs := range h {
		if strings.EqualFold(k, name) {
			return first(vs)
		}
	}
	return ""
}

// Set replaces what is kept under this spelling of the name.
func (h Headers) Set(name, value string) { h[name] = []string{value} }

// Clone returns a copy that shares nothing with h, and is never nil.
func (h Headers) Clone() Headers {
	out := make(Headers, len(h))
	for k, vs := range h {
		out[k] = append([]string(nil), vs...)
	}
	return out
}

func first(vs []string) string {
	if len(vs) == 0 {
		return ""
	}
	return vs[0]
}

// ServerHeader reports whether a header is between a bus and its server, in whatever case its
// letters are: all Nats-… but those that say where a message was republished from (Nats-Stream,
// Nats-Sequence, Nats-Subject, Nats-Time-Stamp and Nats-Last-Sequence). The server would do what it
// says, so no event has one: Event.Validate refuses it, on every bus.
func ServerHeader(name string) bool {
	const prefix = "Nats-"
	if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		return false
	}
	switch strings.ToLower(name[len(prefix):]) {
	case "stream", "sequence", "subject", "time-stamp", "last-sequence":
		return false
	}
	return true
}
