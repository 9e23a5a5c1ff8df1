package percent

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

// LetterOrDigit reports whether c is one of ASCII.
func LetterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// Attribute reports whether c stands for itself in a header, as the bindings of CloudEvents have
// it: printable ASCII but for space, '"' and '%'.
func Attribute(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' }

// None reports false: every byte is encoded.
func None(byte) bool { return false }
