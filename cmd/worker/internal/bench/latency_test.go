package bench

import (
	"bytes"
	"encoding/gob"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestHistogramsOfProcessesMergeIntoOne: what was counted by several processes and passed through
// files equals what one would have counted.
func TestHistogramsOfProcessesMergeIntoOne(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	c := &cell{Events: 10, Stage: StagePublish}
	one, all := newLatency(), newTally(c)
	for range 3 {
		part := &tally{Runs: make([]uint32, 10), Latencies: map[step]*latency{dueToHandler: newLatency()}}
		for range 5000 {
			took := int64(random.ExpFloat64() * float64(time.Millisecond))
			for _, l := range []*latency{one, part.Latencies[dueToHandler]} {
				if err := l.record(took); err != nil {
					t.Fatal(err)
				}
			}
		}
		var file bytes.Buffer
		if err := gob.NewEncoder(&file).Encode(part); err != nil {
			t.Fatal(err)
		}
		read, err := decodeTally(&file)
		if err != nil {
			t.Fatal(err)
		}
		if err := all.merge(read); err != nil {
			t.Fatal(err)
		}
	}
	if got := all.Latencies[dueToHandler].histogram; !got.Equals(one.histogram) || got.TotalCount() != 15_000 {
		t.Errorf("merged %d values with a maximum of %d, counted %d with %d", got.TotalCount(), got.Max(), one.histogram.TotalCount(), one.histogram.Max())
	}
}

func TestLatencyThatCannotBeCountedIsAnError(t *testing.T) {
	t.Parallel()
	l := newLatency()
	if err := l.record(-1); !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), "a latency is -1ns") {
		t.Errorf("%v", err)
	}
	if err := l.record(int64(3 * time.Hour)); err == nil || !strings.Contains(err.Error(), "a latency of 3h0m0s is more than the 1h0m0s") {
		t.Errorf("%v", err)
	}
	if n := l.histogram.TotalCount(); n != 0 {
		t.Errorf("%d values are counted", n)
	}
	if err := (&latency{}).UnmarshalBinary([]byte("nonsense")); err == nil {
		t.Error("nonsense is a histogram")
	}
	r := newRecorder(&cell{Events: 1, Stage: StagePublish})
	r.recordStep(dueToSent, 0, -5)
	if _, err := r.result(); !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), "from due to sent") {
		t.Errorf("%v", err)
	}
}

func TestSteadyRateLeavesTheEndsOut(t *testing.T) {
	t.Parallel()
	var line timeline
	for i := range 1000 { // one each two milliseconds, the first 10 and the last 10 a second away
		at := 10_000 + 2*int64(i)
		switch {
		case i < 10:
			at -= 1000
		case i >= 990:
			at += 1000
		}
		line.add(at*timelineWidth, 1)
	}
	if rate := line.steadyRate(); rate < 499 || rate > 501 {
		t.Errorf("%v a second", rate)
	}
	var parts timeline
	parts.merge(&line)
	parts.merge(&timeline{Begin: line.Begin - 5, Counts: []uint32{0, 3}})
	if parts.Begin != line.Begin-4 || parts.Counts[0] != 3 || parts.Counts[4] != 1 {
		t.Errorf("merged %d from %d", parts.Counts[:5], parts.Begin-line.Begin)
	}
	if rate := (&timeline{Counts: []uint32{7}}).steadyRate(); rate != 0 {
		t.Errorf("%v a second within one millisecond", rate)
	}
}
