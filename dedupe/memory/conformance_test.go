package memory

import (
	"testing"
	"testing/synctest"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/dedupe/dedupetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	dedupetest.Run(t, dedupetest.Harness{
		New:     func(t *testing.T) dedupetest.Subject { return subject(t, nil) },
		Bounded: func(t *testing.T) dedupetest.Subject { return subject(t, &Options{MaxKeys: 100}) },
		Run:     synctest.Test,
	})
}

func subject(t *testing.T, o *Options) dedupetest.Subject {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return dedupetest.Subject{Store: s, Present: func(_ *testing.T, k dedupe.Key) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, ok := s.table.slots[keyIDOf(k)]
		return ok
	}}
}
