package bus_test

import (
	"errors"
	"testing"

	"github.com/onceish/onceish/bus"
)

func TestIdentityIsTheIDUnlessTheSourceIsForeign(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ source, id, want string }{
		{"", "17", "17"},
		{bus.DefaultSource, "17", "17"},
		{"/shops/12", "17", "{/shops/12}17"},
		{"", "{a}17", "{}{a}17"},
		{bus.DefaultSource, "{", "{}{"},
		{"{}%", "}", "{%7B%7D%25}}"},
	} {
		if got := (&bus.Event{ID: c.id, Source: c.source}).Identity(); got != c.want {
			t.Errorf("Identity of %q from %q is %q; want %q", c.id, c.source, got, c.want)
		}
	}
}

func FuzzIdentityTellsSourcesAndIDsApart(f *testing.F) {
	for _, s := range [][4]string{
		{"a", "b", "", "{a}b"},
		{"", "{}x", "", "x"},
		{"a}", "b", "a", "}b"},
		{"%7D", "1", "}", "1"},
		{"onceish", "1", "", "1"},
		{"", "{", "{", ""},
		{"a", "{", "", "{}{"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, source1, id1, source2, id2 string) {
		a, b := bus.Event{Source: source1, ID: id1}, bus.Event{Source: source2, ID: id2}
		same := named(source1) == named(source2) && id1 == id2
		if got := a.Identity() == b.Identity(); got != same {
			t.Errorf("identities %q and %q, of %q, %q and %q, %q", a.Identity(), b.Identity(), source1, id1, source2, id2)
		}
	})
}

func named(source string) string {
	if source == "" {
		return bus.DefaultSource
	}
	return source
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		e    bus.Event
		want error
	}{
		{bus.Event{ID: "1", Topic: "a"}, nil},
		{bus.Event{Topic: "a"}, bus.ErrInvalidEvent},
		{bus.Event{ID: "1"}, bus.ErrInvalidEvent},
		{bus.Event{ID: "1", Topic: "a.>"}, bus.ErrInvalidEvent},
	} {
		if err := c.e.Validate(); !errors.Is(err, c.want) {
			t.Errorf("Validate of %+v: %v; want %v", c.e, err, c.want)
		}
	}
}
