package notify

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
)

func TestSubject(t *testing.T) {
	t.Parallel()
	for want, name := range map[string][]string{
		"onceish.outbox.shop.outbox":        {"shop", "outbox"},
		"onceish.outbox.shop.out%2Ebox":     {"shop", "out.box"},
		"onceish.outbox.a%20b%2A.%C3%BC%25": {"a b*", "ü%"},
		"onceish.outbox.%.x":                {"", "x"},
	} {
		if got := Subject(name...); got != want {
			t.Errorf("Subject(%q) = %q, want %q", name, got, want)
		}
	}
}

// Every name has a legal subject of its own.
func FuzzSubject(f *testing.F) {
	f.Add("shop", "outbox", "shop", "out.box")
	f.Add("", "%", "%", "")
	f.Add("a b", "\x00>", "a", "*")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		one, other := Subject(a, b), Subject(c, d)
		if same := a == c && b == d; same != (one == other) {
			t.Errorf("%q and %q have %q and %q", []string{a, b}, []string{c, d}, one, other)
		}
		if err := bus.ValidTopic(one); err != nil {
			t.Error(err)
		}
		if n := strings.Count(one, "."); n != 3 {
			t.Errorf("%q has %d dots", one, n)
		}
	})
}
