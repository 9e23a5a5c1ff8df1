package percent

import "strings"

const digits = "0123456789ABCDEF"

// Encode returns s with every byte that is not plain as %XX.
func Encode(s string, plain func(c byte) bool) string {
	n := 0
	for i := range len(s) {
		if !plain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	return string(Append(make([]byte, 0, len(s)+2*n), '%', s, plain))
}

// Append appends s to b with every byte that is not plain as the mark and two digits.
func Append(b []byte, mark byte, s string, plain func(c byte) bool) []byte {
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, mark, digits[c>>4], digits[c&15])
		}
	}
	return b
}

// Decode reads what Append has written of a string with a mark that is not plain. It reports false
// for anything that Append does not write.
func Decode(mark byte, s string, plain func(c byte) bool) (decoded string, ok bool) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == mark {
			if len(s)-i < 3 {
				return "", false
			}
			high, low := strings.IndexByte(digits, s[i+1]), strings.IndexByte(digits, s[i+2])
			c, i = byte(high<<4|low), i+2
			if high < 0 || low < 0 || plain(c) {
				return "", false
			}
		} else if !plain(c) {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), true
}

// LetterOrDigit reports whether c is one of ASCII.
func LetterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// Attribute reports whether c stands for itself in a header, as the bindings of CloudEvents have
// it: printable ASCII but for space, '"' and '%'.
func Attribute(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' }

// None reports false: every byte is encoded.
func None(byte) bool { return false }
