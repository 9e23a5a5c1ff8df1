package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/group/grouptest"
	memgroup "github.com/onceish/onceish/group/memory"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	grouptest.Run(t, grouptest.Harness{
		New: func(t *testing.T) grouptest.Subject {
			s, err := memgroup.New(&memgroup.Options{TTL: 3 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			return grouptest.Subject{Store: s, Reset: func(*testing.T) { s.Reset() }}
		},
		Run: synctest.Test, Latency: 2 * time.Millisecond,
	})
}
