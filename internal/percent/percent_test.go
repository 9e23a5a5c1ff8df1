package percent

import "testing"

func TestEncode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, want string
		plain    func(byte) bool
	}{
		{"", "", None},
		{"aZ9", "aZ9", LetterOrDigit},
		{"a-/[`{@:é\xff\x00", "a%2D%2F%5B%60%7B%40%3A%C3%A9%FF%00", LetterOrDigit},
		{`~!a "%` + "\x7f\n", "~!a%20%22%25%7F%0A", Attribute},
		{"ab", "%61%62", None},
	} {
		if got := Encode(c.in, c.plain); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
	if got := string(Append([]byte("x."), '=', "a b", LetterOrDigit)); got != "x.a=20b" {
		t.Errorf("appended: %q", got)
	}
}

// Of a string and its encoding each gives the other; nothing else is decoded.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "a", "a=20b", "=61", "=2", "=", "=GG", "a b", "\xff", "==", "=3D", "=3d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		encoded := string(Append(nil, '=', s, LetterOrDigit))
		if got, ok := Decode('=', encoded, LetterOrDigit); !ok || got != s {
			t.Errorf("%q: %q decodes to %q, %t", s, encoded, got, ok)
		}
		if got, ok := Decode('=', s, LetterOrDigit); ok && string(Append(nil, '=', got, LetterOrDigit)) != s {
			t.Errorf("%q decodes to %q, which is not encoded so", s, got)
		}
	})
}
