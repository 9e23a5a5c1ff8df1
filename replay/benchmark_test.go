package replay_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/replay"
)

func BenchmarkAppendLine(b *testing.B) {
	s := bus.Stored{
		Event: bus.Event{ID: "4711", Topic: "orders.new", Key: "ada", Time: time.Unix(1, 2), ContentType: "application/json", Data: []byte(`{"total":42,"text":"` + string(bytes.Repeat([]byte{'x'}, 80)) + `"}`)},
		At:    bus.Position{Stream: "orders@1", Sequence: 4711, Stored: time.Unix(3, 4)},
	}
	var line []byte
	var err error
	for b.Loop() {
		if line, err = replay.AppendLine(line[:0], s); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(line)))
}
