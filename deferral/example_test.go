package deferral_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
)

// One alert now, and a summary of 240 more in five minutes: a service asks what to say at once, and
// has the rest summed up.
func Example() {
	alerts, err := membus.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := memdedupe.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	summed := make(chan struct{})
	summarize := func(_ context.Context, host string, events []bus.Event) error {
		fmt.Printf("%s: %d more alerts, from %s to %s\n", host, len(events), events[0].ID, events[len(events)-1].ID)
		close(summed)
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	tracker, err := deferral.Open(ctx, alerts, store, "pager", deferral.Config{
		Rate:     flow.Rate{Limit: 1, Per: 5 * time.Minute, Strategy: flow.FixedWindow},
		Interval: 5 * time.Minute,
	}, summarize, &deferral.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- tracker.Run(ctx) }()

	for n := range 241 {
		alert := bus.Event{ID: fmt.Sprint("alert-", n), Topic: "disk.full", Key: "db-1"}
		decision, err := tracker.Track(ctx, alert)
		if err != nil {
			log.Fatal(err)
		}
		if decision == deferral.Immediate {
			fmt.Printf("%s: the disk is full (%s)\n", alert.Key, alert.ID)
		}
	}
	tracker.Flush() // for those who have no five minutes
	<-summed
	stop()
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
	// Output:
	// db-1: the disk is full (alert-0)
	// db-1: 240 more alerts, from alert-1 to alert-240
}
