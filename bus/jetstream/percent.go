package jetstream

import (
	"strings"
	"unicode/utf8"

	"github.com/onceish/onceish/internal/percent"
)

// escape percent-encodes an attribute for a header, as the CloudEvents binding asks.
func escape(s string) string { return percent.Encode(s, percent.Attribute) }

// unquote takes a value out of double quotes, as older producers write it, with its
// backslash escapes.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' {
			if i++; i == len(s)-1 {
				return s // The last quote is escaped, and ends nothing.
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// unescape undoes escape. A percent sign that begins no encoding leaves all as it is. What decodes
// to no UTF-8 is not ok.
func unescape(s string) (decoded string, ok bool) {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s, true
	}
	out := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return s, true
		}
		high, low := unhex(s[i+1]), unhex(s[i+2])
		if high > 15 || low > 15 {
			return s, true
		}
		out = append(out, high<<4|low)
		i += 2
	}
	if !utf8.Valid(out) {
		return s, false
	}
	return string(out), true
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
