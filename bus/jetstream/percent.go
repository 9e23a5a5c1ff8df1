package jetstream

import (
	"net/url"
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
	decoded, err := url.PathUnescape(s)
	switch {
	case err != nil:
		return s, true
	case !utf8.ValidString(decoded):
		return s, false
	}
	return decoded, true
}
