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
