package explain_test

import (
	"context"
	"fmt"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/explain"
)

// What became of an event of a group whose processes do not run.
func Example() {
	ctx := context.Background()
	b, err := membus.New(nil)
	if err != nil {
		panic(err)
	}
	marks, err := memdedupe.New(nil)
	if err != nil {
		panic(err)
	}
	if _, err := b.Publish(ctx, bus.Event{ID: "17", Topic: "order.placed", Data: []byte("{}")}); err != nil {
		panic(err)
	}
	sources := &explain.Sources{Bus: b, Marks: marks, MarksName: "memory", Group: explain.Group{
		Name:    "billing",
		Cursors: []explain.Cursor{{Topic: "order.placed", Delivered: 1, Unsettled: 1}},
	}}
	story, err := sources.Story(ctx, explain.Query{Topic: "order.placed", ID: "17"})
	if err != nil {
		panic(err)
	}
	for _, line := range story.Timeline {
		fmt.Println(line.Source+":", line.Text)
	}
	fmt.Println(story.Summary)
	// Output:
	// stream: published, stored at sequence 1: source onceish, type order.placed, 2 bytes
	// pending: no process of the group runs that is subscribed to order.placed
}
