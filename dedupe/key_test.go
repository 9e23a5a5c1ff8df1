package dedupe_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/onceish/onceish/dedupe"
)

func TestKeyString(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 513)
	sum := sha256.Sum256([]byte(long))
	digest := hex.EncodeToString(sum[:])
	for _, c := range []struct {
		key  dedupe.Key
		want string
	}{
		{dedupe.Key{}, "::::"},
		{dedupe.Key{Topic: "orders.created", Group: "billing", ID: "order-7"}, "orders.created::billing::order-7"},
		{dedupe.Key{Topic: "a::b", Group: "c", ID: "d"}, "a%3A%3Ab::c::d"},
		{dedupe.Key{Topic: "a:", Group: ":b", ID: "%3A"}, "a%3A::%3Ab::%253A"},
		{dedupe.Key{Topic: "é", Group: "💥", ID: " "}, "é::💥:: "},
		{dedupe.Key{Topic: "\x00", Group: "\n\x1b", ID: "\x7f"}, "%00::%0A%1B::%7F"},
		{dedupe.Key{Topic: "\xff", Group: "\ufffd", ID: "a\xc3"}, "%FF::\ufffd::a%C3"},
		{dedupe.Key{Topic: "\xed\xa0\x80", ID: "\u0085"}, "%ED%A0%80::::%C2%85"},
		{dedupe.Key{Topic: long[1:], ID: long}, long[1:] + "::::sha256:" + digest},
		{dedupe.Key{ID: "sha256:" + digest}, "::::sha256%3A" + digest},
		{dedupe.Key{Topic: "a", Group: "b", ID: "c", Scope: "2d71"}, "a::b::c::2d71"},
		{dedupe.Key{Topic: "a", Group: "b", ID: "c::2d71"}, "a::b::c%3A%3A2d71"},
	} {
		if got := c.key.String(); got != c.want {
			t.Errorf("%q: %q, want %q", c.key, got, c.want)
		}
	}
}

// parse reads a readable key back: what was hashed is left as it is.
func parse(s string) (parts [4]string, err error) {
	split := strings.Split(s, "::")
	if len(split) != 3 && len(split) != 4 {
		return parts, fmt.Errorf("%d parts, want 3 or 4", len(split))
	}
	for i, p := range split {
		if strings.HasPrefix(p, "sha256:") {
			parts[i] = p
		} else if parts[i], err = url.PathUnescape(p); err != nil {
			return parts, err
		}
	}
	return parts, nil
}

// expected is a part as parse gives it back.
func expected(part string) string {
	if readable(part) {
		return part
	}
	sum := sha256.Sum256([]byte(part))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// readable reports whether a part is short enough once it is escaped, at three bytes for each that
// is not plain.
func readable(part string) bool {
	size := 0
	for _, r := range invalidToNUL(part) {
		if n := utf8.RuneLen(r); r == '%' || r == ':' || unicode.IsControl(r) {
			size += 3 * n
		} else {
			size += n
		}
	}
	return size <= 512
}

func checkKey(t *testing.T, k dedupe.Key) {
	t.Helper()
	s := k.String()
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		t.Errorf("%q: %q is not readable", k, s)
	}
	parts, err := parse(s)
	if err != nil {
		t.Fatalf("%q: %q: %v", k, s, err)
	}
	if want := [4]string{expected(k.Topic), expected(k.Group), expected(k.ID), expected(k.Scope)}; parts != want {
		t.Errorf("%q: %q is read back as %q", k, s, parts)
	}
	// no text that is kept readable passes for a hash
	for i, p := range []string{k.Topic, k.Group, k.ID, k.Scope} {
		if p != "" && readable(p) && strings.HasPrefix(strings.Split(s, "::")[i], "sha256:") {
			t.Errorf("%q passes for a hash in %q", p, s)
		}
	}
}

// FuzzKeyString: a key can be read back from its readable form, so no two keys share one.
func FuzzKeyString(f *testing.F) {
	for _, s := range [][3]string{
		{"", "", ""},
		{"a", "b", "c"},
		{"a::b", ":", "::"},
		{"%", "%3A", "%zz"},
		{"\x00", "\xff", "\ufffd"},
		{"sha256:", "sha256", strings.Repeat("x", 513)},
		{"\u0085", "\u2028", "é"},
		{strings.Repeat("\xff", 512), "a:", ":a"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, topic, group, id string) {
		checkKey(t, dedupe.Key{Topic: topic, Group: group, ID: id})
		checkKey(t, dedupe.Key{Topic: topic, Group: group, ID: id, Scope: "2d711642"})
		checkKey(t, dedupe.Key{Topic: topic, Group: group, Scope: id})
		checkKey(t, dedupe.Key{Topic: topic, Group: group, ID: strings.Repeat(id+"x", 200)})
	})
}

// FuzzKeyPairs: two keys have one readable form only if they are one.
func FuzzKeyPairs(f *testing.F) {
	f.Add("a", "b::c", "d", "a::b", "c", "d")
	f.Add("a:", "b", "c", "a", ":b", "c")
	f.Add("a%3A", "b", "c", "a:", "b", "c")
	f.Add("\xff", "b", "c", "\ufffd", "b", "c")
	f.Add("", "a", "", "a", "", "")
	f.Fuzz(func(t *testing.T, t1, g1, i1, t2, g2, i2 string) {
		a, b := dedupe.Key{Topic: t1, Group: g1, ID: i1}, dedupe.Key{Topic: t2, Group: g2, ID: i2}
		if (a.String() == b.String()) != (a == b) {
			t.Errorf("%q and %q: %q and %q", a, b, a, b)
		}
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	states := map[dedupe.State]string{
		dedupe.Fresh: "fresh", dedupe.Held: "held", dedupe.Reused: "reused", dedupe.DeadLettering: "dead-lettering",
		dedupe.Done: "done", dedupe.Dead: "dead", 99: "unknown",
	}
	for s, want := range states {
		if s.String() != want {
			t.Errorf("state %d: %q, want %q", s, s, want)
		}
	}
	outcomes := map[dedupe.Outcome]string{
		dedupe.Succeeded: "succeeded", dedupe.Failed: "failed", dedupe.NotBegun: "not begun",
		dedupe.GivenUp: "given up", dedupe.DeadLettered: "dead-lettered", 99: "unknown",
	}
	for o, want := range outcomes {
		if o.String() != want {
			t.Errorf("outcome %d: %q, want %q", o, o, want)
		}
	}
	if (dedupe.Record{}).State != dedupe.Fresh || (dedupe.Claim{}).State != dedupe.Fresh {
		t.Error("the zero record is not fresh")
	}
}

// invalidToNUL puts a control character in the place of each byte that is no UTF-8.
func invalidToNUL(s string) string {
	var b strings.Builder
	for i, r := range s {
		if _, size := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
			b.WriteByte(0)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
