package outbox_test

import (
	"testing"

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
