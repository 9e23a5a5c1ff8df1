package mongo

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/onceish/onceish/dedupe"
)

func FuzzKeyID(f *testing.F) {
	long := strings.Repeat("\x00", 512)
	f.Add("t", "g", "i", "t", "g", "j")
	f.Add("a:", "b", "c", "a", ":b", "c")
	f.Add("%watermark:", "", "", "%sha256:", "", "")
	f.Add(long, long, long, long, long, long+"x")
	f.Add("%sha256:"+strings.Repeat("a", 64), "", "", "\xff", "\x00", "$")
	f.Fuzz(func(t *testing.T, t1, g1, i1, t2, g2, i2 string) {
		a, b := dedupe.Key{Topic: t1, Group: g1, ID: i1}, dedupe.Key{Topic: t2, Group: g2, ID: i2}
		for _, k := range []dedupe.Key{a, b} {
			id := keyID(k)
			if len(id) > maxKey || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
				t.Errorf("%q: an _id of %d bytes: %q", k, len(id), id)
			}
			if strings.HasPrefix(id, watermarkPrefix) {
				t.Errorf("%q looks like a watermark: %q", k, id)
			}
		}
		if (keyID(a) == keyID(b)) != (a == b) {
			t.Errorf("%q and %q: %q and %q", a, b, keyID(a), keyID(b))
		}
		if same := g1 == g2 && t1 == t2; (watermarkID(g1, t1) == watermarkID(g2, t2)) != same {
			t.Errorf("watermarks of %q, %q and %q, %q", g1, t1, g2, t2)
		}
	})
}

func FuzzReason(f *testing.F) {
	f.Add("card declined")
	f.Add(strings.Repeat("é", dedupe.MaxReason))
	f.Add(strings.Repeat("x", dedupe.MaxReason-1) + "💥")
	f.Add("\xff" + strings.Repeat("\xfe", dedupe.MaxReason))
	f.Fuzz(func(t *testing.T, s string) {
		got := keptReason(s)
		if len(got) > dedupe.MaxReason || !utf8.ValidString(got) {
			t.Errorf("a reason of %d bytes, valid: %t", len(got), utf8.ValidString(got))
		}
		if utf8.ValidString(s) && (!strings.HasPrefix(s, got) || len(s) <= dedupe.MaxReason && got != s) {
			t.Errorf("%q became %q", s, got)
		}
	})
}
