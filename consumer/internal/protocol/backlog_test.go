package protocol

import (
	"errors"
	"testing"
	"time"
)

// A store that cannot do many things in the time of a call is asked for fewer, and for more again once
// it answers.
func TestCallsThatFailAreRepeatedInSmallerParts(t *testing.T) {
	t.Parallel()
	b := backlog{most: 100}
	for range 250 {
		b.push(&Job{})
	}
	now := time.Unix(0, 0)
	call := func(err error) int {
		now = now.Add(time.Hour)
		jobs := b.take(now, nil)
		b.answered(now, jobs, err)
		return len(jobs)
	}
	slow := errors.New("too slow")
	for i, want := range []int{100, 100, 50, 25} {
		if n := call(slow); n != want {
			t.Fatalf("call %d has %d items, want %d", i, n, want)
		}
	}
	for i, want := range []int{12, 24, 48, 96, 70} {
		if n := call(nil); n != want {
			t.Fatalf("call %d that is answered has %d items, want %d", i, n, want)
		}
	}
	if b.jobs = nil; call(slow) != 0 {
		t.Fatal("there was nothing to do")
	}
}
