package handlers

import "strings"

// token reports whether a name is one that HTTP and NATS take for a header.
func token(name string) bool { return name != "" && tokenPrefix(name) == len(name) }

// tokenPrefix is how many bytes of a name are legal (RFC 9110, tchar).
func tokenPrefix(name string) int {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return i
		}
	}
	return len(name)
}

// illegalByte is where a header's value has a control character; -1 if it has none.
func illegalByte(value string) int {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return i
		}
	}
	return -1
}

// hasPrefixFold is strings.HasPrefix whatever the case of ASCII letters.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
