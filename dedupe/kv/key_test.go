package kv

import (
	"regexp"
	"strings"
	"testing"

	"github.com/onceish/onceish/dedupe"
)

// legal is what clients of key-value buckets take for a key.
var legal = regexp.MustCompile(`^[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*$`)

func TestEventKey(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 513)
	for _, c := range []struct {
		key  dedupe.Key
		want string
	}{
		{dedupe.Key{Topic: "orders.created", Group: "billing", ID: "42"}, "e.orders=2Ecreated.billing.42"},
		{dedupe.Key{}, "e.=.=.="},
		{dedupe.Key{Topic: "=", Group: "a:b", ID: "%"}, "e.=3D.a=3Ab.=25"},
		{dedupe.Key{Topic: "*", Group: ">", ID: " "}, "e.=2A.=3E.=20"},
		{dedupe.Key{Topic: "t", Group: "g", ID: long[1:]}, "e.t.g." + long[1:]},
		{dedupe.Key{Topic: "t", Group: "g", ID: long}, "e.t.g.=sha256-35ade0090e64e74d6ad04204009c23a4e34b82bdf0f4f317fbcc5f26f9b10241"},
	} {
		if got := eventKey(c.key); got != c.want {
			t.Errorf("key of %+v: %s, want %s", c.key, got, c.want)
		}
	}
}

func FuzzEventKey(f *testing.F) {
	f.Add("orders", "billing", "42", "orders", "billing", "4.2")
	f.Add("a", "b.c", "", "a.b", "c", "")
	f.Add("=", "", "\xff", "", "=", "=FF")
	f.Add(strings.Repeat(".", 200), "", "", "=sha256-"+strings.Repeat("0", 64), "", "")
	f.Fuzz(func(t *testing.T, topic, group, id, topic2, group2, id2 string) {
		one, other := dedupe.Key{Topic: topic, Group: group, ID: id}, dedupe.Key{Topic: topic2, Group: group2, ID: id2}
		k, k2 := eventKey(one), eventKey(other)
		if (k == k2) != (one == other) {
			t.Errorf("%q is the key of %+v, %q of %+v", k, one, k2, other)
		}
		w := watermarkKey(group, topic)
		if (w == watermarkKey(group2, topic2)) != (group == group2 && topic == topic2) {
			t.Errorf("%q is kept for the watermarks of two groups or topics", w)
		}
		for _, key := range []string{k, k2, w} {
			if !legal.MatchString(key) || len(key) > 3*maxPart+8 {
				t.Errorf("%q is no key: it has %d bytes", key, len(key))
			}
		}
		if k == w {
			t.Errorf("%q is a key and a watermark", k)
		}
	})
}
