package ndjson_test

import (
	"context"
	"fmt"
	"strings"

	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/internal/ndjson"
)

// A line that is published twice is stored once. One that cannot be stored is named, and the
// others go on.
func ExamplePublish() {
	b, err := membus.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	published, err := ndjson.Publish(context.Background(), b, "order.placed", strings.NewReader(`{"order":1,"cents":500}
{"order":1,"cents":500}
{"cents":700}
{"order":2,"cents":900}
`), &ndjson.Options{IDField: "order", Refused: func(line int, err error) { fmt.Printf("line %d: %v\n", line, err) }})
	fmt.Printf("%+v\n", published)
	fmt.Println(err)
	// Output:
	// line 3: it has no field "order"
	// {Stored:3 Duplicates:1 Refused:1}
	// not all lines were stored: 1 cannot be
}
