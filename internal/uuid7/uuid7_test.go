package uuid7

import (
	"strings"
	"testing"
	"time"
)

func TestNew(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(0x0123456789ab)
	a, b := New(now), New(now)
	if a == b || len(a) != 36 || !strings.HasPrefix(a, "01234567-89ab-7") || !strings.ContainsAny(a[19:20], "89ab") {
		t.Errorf("%s and %s are no UUIDs of version 7", a, b)
	}
	if later := New(now.Add(time.Millisecond)); later <= a {
		t.Errorf("%s comes before %s", later, a)
	}
}
