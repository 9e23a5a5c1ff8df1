package jetstream

import (
	"strings"
	"unicode/utf8"
)

const hexDigits = "0123456789ABCDEF"

// escape percent-encodes an attribute for a header, as the CloudEvents binding asks: space, '"', '%', and what is not
// printable ASCII.
func escape(s string) string {
	n := 0
	for i := range len(s) {
		if !bare(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	out := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; bare(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(out)
}

func bare(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' }

// unescape undoes escape. What is not an encoding of UTF-8 is taken literally.
func unescape(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	out := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return s
		}
		high, low := unhex(s[i+1]), unhex(s[i+2])
		if high > 15 || low > 15 {
			return s
		}
		out = append(out, high<<4|low)
		i += 2
	}
	if !utf8.Valid(out) {
		return s
	}
	return string(out)
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
