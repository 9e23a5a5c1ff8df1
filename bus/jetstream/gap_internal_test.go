package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

// What arrives together with a gap in it is handed out up to the gap, and nothing after it.
func TestFetchHandsOutWhatCameBeforeAGap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		numbers []int
		want    []uint64
	}{
		"none is missing":         {[]int{6, 7, 8}, []uint64{6, 7, 8}},
		"the first is missing":    {[]int{7, 8}, nil},
		"one is missing":          {[]int{6, 7, 9, 10}, []uint64{6, 7}},
		"one comes late":          {[]int{6, 8, 7, 8}, []uint64{6}},
		"a number is used again":  {[]int{6, 7, 7, 8}, []uint64{6, 7}},
		"the count starts again":  {[]int{6, 1, 2}, []uint64{6}},
		"it starts again at once": {[]int{1, 2, 6}, nil},
	} {
		s := &Source{
			b: &Bus{}, incoming: make(chan *nats.Msg, inboxSize), wakeFetch: make(chan struct{}, 1),
			inFlight: inFlightDeliveries{due: map[uint64]time.Time{}},
		}
		s.highest.Store(&deliveryInfo{})
		s.counter.startAfter(5)
		for _, n := range c.numbers {
			s.incoming <- &nats.Msg{Subject: "a", Reply: fmt.Sprintf("$JS.ACK.s.c.1.%d.%d.100.0", n, n)}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		var got []uint64
		ds, err := s.Fetch(ended, 100)
		for _, d := range ds {
			got = append(got, d.At.Sequence)
		}
		if err == nil && len(got) < len(c.numbers) {
			_, err = s.Fetch(ended, 100)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %d were handed out; want %d", name, got, c.want)
		}
		if lost := len(got) < len(c.numbers); errors.Is(err, bus.ErrConsumerLost) != lost || errors.Is(s.endError(), bus.ErrConsumerLost) != lost {
			t.Errorf("%s: %v, and the source has ended with %v", name, err, s.endError())
		}
	}
}
