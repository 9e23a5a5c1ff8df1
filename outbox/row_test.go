package outbox_test

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// Rows outlive versions of the package.
func TestHashNeverChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, id string
		want    uint64
	}{
		{"", "", 0x71d862214c7e0e0a},
		{"order-1", "a", 0x5d7f110ab6934c6},
		{"", "order-1", 0x5d7f110ab6934c6},
	} {
		if got := outbox.Hash(c.key, c.id); got != c.want || got > outbox.MaxHash {
			t.Errorf("Hash(%q, %q) = %#x; want %#x", c.key, c.id, got, c.want)
		}
	}
	if outbox.Hash("k", "a") != outbox.Hash("k", "b") || outbox.Hash("", "a") == outbox.Hash("", "b") {
		t.Error("rows of one key must share a hash, and rows without one must not")
	}
}

func TestRowIDNeverChanges(t *testing.T) {
	t.Parallel()
	const most = 512
	literal, long := strings.Repeat("x", most), strings.Repeat("x", most+1)
	for want, e := range map[string]bus.Event{
		"17 order.placed": {ID: "17", Topic: "order.placed", Source: bus.DefaultSource},
		"18 order.placed": {ID: "18", Topic: "order.placed.of8.3"},
		"a%20%25b t s%20": {ID: "a %b", Topic: "t", Source: "s "},
		literal + " t":    {ID: literal, Topic: "t"},
		"%sha256:35ade0090e64e74d6ad04204009c23a4e34b82bdf0f4f317fbcc5f26f9b10241 t": {ID: long, Topic: "t"},
	} {
		if got := outbox.RowID(&e); got != want {
			t.Errorf("RowID of %.20q: %q; want %q", e.ID, got, want)
		}
	}
}

// No two events share a RowID, and what begins one is of its id alone.
func FuzzRowID(f *testing.F) {
	f.Add("a", "b", "c", "a b", "c", "")
	f.Add("%20", "t", "", " ", "t", "")
	f.Add("a", "t.of8.3", "", "a", "t.of4.1", "")
	f.Add(strings.Repeat("y", 600), "t", "", "%sha256:", "t", "")
	f.Fuzz(func(t *testing.T, id, topic, source, id2, topic2, source2 string) {
		a, b := bus.Event{ID: id, Topic: topic, Source: source}, bus.Event{ID: id2, Topic: topic2, Source: source2}
		if a.Validate() != nil || b.Validate() != nil {
			return
		}
		x, y := outbox.RowID(&a), outbox.RowID(&b)
		if same := bus.LogicalTopic(topic) == bus.LogicalTopic(topic2) && a.Identity() == b.Identity(); same != (x == y) || len(x) > 1538 {
			t.Errorf("%+v and %+v have %q and %q", a, b, x, y)
		}
		if strings.HasPrefix(x, outbox.RowIDPrefix(id2)) != (id == id2) {
			t.Errorf("%q begins with %q", x, outbox.RowIDPrefix(id2))
		}
	})
}

func FuzzPartition(f *testing.F) {
	for _, n := range []uint16{1, 2, 3, 64, 1000, 65535} {
		f.Add(uint64(0), n)
		f.Add(uint64(outbox.MaxHash), n)
		f.Add(uint64(outbox.MaxHash/3), n)
	}
	f.Fuzz(func(t *testing.T, hash uint64, of uint16) {
		hash >>= 1
		n := max(1, int(of))
		i := outbox.PartitionOf(hash, n)
		if i < 0 || i >= n {
			t.Fatalf("hash %#x is in partition %d of %d", hash, i, n)
		}
		first, last := outbox.Partition(i, n)
		if hash < first || hash > last {
			t.Errorf("hash %#x is in partition %d of %d, which has %#x to %#x", hash, i, n, first, last)
		}
		if i == 0 && first != 0 || i == n-1 && last != outbox.MaxHash {
			t.Errorf("partition %d of %d has %#x to %#x", i, n, first, last)
		}
		if i > 0 {
			if _, before := outbox.Partition(i-1, n); before+1 != first {
				t.Errorf("a gap before partition %d of %d", i, n)
			}
		}
	})
}
