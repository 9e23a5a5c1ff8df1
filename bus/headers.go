package bus

import "strings"

// Headers keep the case of their names and repeated values, as NATS does.
type Headers map[string][]string

// Get returns the first value under the name, in whatever case its letters are; empty if there is none.
// The exact spelling wins over others.
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
