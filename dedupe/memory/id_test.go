package memory

import (
	"testing"

	"github.com/onceish/onceish/dedupe"
)

// FuzzID: two keys have one id only if they are one.
func FuzzID(f *testing.F) {
	f.Add("a", "bc", "d", "ab", "c", "d")
	f.Add("a", "b", "cd", "a", "bc", "d")
	f.Add("\x01", "a", "", "", "\x01a", "")
	f.Add("", "", "\x00", "", "\x00", "")
	f.Fuzz(func(t *testing.T, t1, g1, i1, t2, g2, i2 string) {
		a, b := dedupe.Key{Topic: t1, Group: g1, ID: i1}, dedupe.Key{Topic: t2, Group: g2, ID: i2}
		if (keyIDOf(a) == keyIDOf(b)) != (a == b) {
			t.Errorf("%q and %q: %x and %x", a, b, keyIDOf(a), keyIDOf(b))
		}
	})
}
