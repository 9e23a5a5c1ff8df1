package handlers

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// percentEncode encodes text for a header, as the CloudEvents bindings ask: space, '"', '%', and
// what is not printable ASCII.
func percentEncode(s string) string {
	if !strings.ContainsFunc(s, mustEncode) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; mustEncode(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func mustEncode(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '%' }

// truncateText is the start of s in at most n bytes of whole characters.
func truncateText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
