package protocol

import (
	"errors"
	"testing"
	"time"
)

// A store that cannot do many things in the time of a call is asked for fewer, and for more again
// once it answers.
func TestCallsThatFailAreRepeatedInSmallerParts(t *testing.T) {
	t.Parallel()
	b := callQueue{maxBatch: 100, slowAfter: time.Second}
	for range 250 {
		b.push(&Job{})
	}
	now := time.Unix(0, 0)
	call := func(err error) int {
		now = now.Add(time.Hour)
		jobs := b.takeBatch(now, nil)
		b.recordCall(now, now, jobs, err)
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

// A store that is slow with many things at once is asked for fewer, but for as many as there are
// slots: of one that is far away, smaller calls take as long.
func TestSlowCallsAreFollowedBySmallerOnes(t *testing.T) {
	t.Parallel()
	b := callQueue{maxBatch: 100, slowAfter: time.Second, minBatch: 16}
	now := time.Unix(0, 0)
	call := func(took time.Duration) int {
		for range 200 {
			b.push(&Job{})
		}
		sent := now
		jobs := b.takeBatch(now, nil)
		now = now.Add(took)
		b.recordCall(now, sent, jobs, nil)
		return len(jobs)
	}
	for i, c := range []struct {
		took time.Duration
		want int
	}{{999 * time.Millisecond, 100}, {time.Second, 100}, {time.Second, 50}, {time.Second, 25}, {time.Second, 16}, {0, 16}, {0, 32}, {0, 64}, {0, 100}} {
		if n := call(c.took); n != c.want {
			t.Fatalf("call %d has %d items, want %d", i, n, c.want)
		}
	}
}
