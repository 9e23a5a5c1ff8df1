package bus_test

import (
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func FuzzPosition(f *testing.F) {
	f.Add("orders@1700000000000000000", uint64(17), int64(1700000000000000001), true)
	f.Add("", uint64(0), int64(0), false)
	f.Add("a:b:", uint64(1<<63), int64(-1), true)
	f.Add(":", uint64(0), int64(0), false)
	f.Fuzz(func(t *testing.T, stream string, sequence uint64, stored int64, timed bool) {
		want := bus.Position{Stream: stream, Sequence: sequence}
		if timed {
			want.Stored = time.Unix(0, stored).UTC()
		}
		got, err := bus.ParsePosition(want.String())
		if err != nil || got != want {
			t.Errorf("%q is parsed as %+v, %v", want.String(), got, err)
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"", "orders@1:2:3", "orders@1:2:", "::", ":1:", "a:1:9223372036854775808", "a:-1:1", "a:01:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := bus.ParsePosition(s)
		if err != nil {
			if p != (bus.Position{}) {
				t.Errorf("%q: %+v with %v", s, p, err)
			}
			return
		}
		if again, err := bus.ParsePosition(p.String()); err != nil || again != p {
			t.Errorf("%q is %+v, and then %+v, %v", s, p, again, err)
		}
	})
}

func TestParsePositionRefusesOtherText(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"17", "orders", "orders@1:2", "orders@1:x:3", "orders@1:2:x", "orders@1:-2:3", "orders@1:2:3 "} {
		if p, err := bus.ParsePosition(s); err == nil {
			t.Errorf("%q is parsed as %+v", s, p)
		}
	}
}

func TestARangeBelongsToItsStream(t *testing.T) {
	t.Parallel()
	at := bus.Position{Stream: "s@1", Sequence: 5}
	for name, c := range map[string]struct {
		r    bus.Range
		fits bool
	}{
		"zero":             {bus.Range{}, true},
		"after":            {bus.Range{From: bus.From{After: at}}, true},
		"until":            {bus.Range{Until: bus.Until{Position: bus.Position{Stream: "s@1", Sequence: 99}}}, true},
		"after its end":    {bus.Range{From: bus.From{After: bus.Position{Stream: "s@1", Sequence: 6}}}, false},
		"after in another": {bus.Range{From: bus.From{After: bus.Position{Stream: "s@2", Sequence: 1}}}, false},
		"until in another": {bus.Range{Until: bus.Until{Position: bus.Position{Stream: "s@2", Sequence: 1}}}, false},
	} {
		if err := c.r.In("s@1", 5); (err == nil) != c.fits || err != nil && !errors.Is(err, bus.ErrStreamReplaced) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
