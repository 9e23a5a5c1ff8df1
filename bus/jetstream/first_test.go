package jetstream_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// Processes of a group that start at the same time, on a cluster that has nothing yet, all start.
func TestProcessesThatStartFirstAtOnceAllStart(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t, nil)
	var buses []*natsbus.Bus
	for i := range 6 {
		nc := natstest.Connect(t, cluster.Servers[i%3].URL(), natsbus.ConnectionOptions(0)...)
		buses = append(buses, newBus(t, nc, &natsbus.Options{Provision: &natsbus.Provision{Replicas: 3}}))
	}
	for round := range 3 {
		topic, letters := fmt.Sprintf("round%d.new", round), fmt.Sprintf("dead.round%d", round)
		var all sync.WaitGroup
		for _, b := range buses {
			all.Go(func() {
				if _, err := b.Topic(t.Context(), letters, group, bus.Start{}); err != nil {
					t.Errorf("Topic: %v", err)
				}
				src, err := b.Subscribe(t.Context(), topic, group, nil)
				if err != nil {
					t.Errorf("Subscribe: %v", err)
					return
				}
				if err := src.Close(t.Context()); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		all.Wait()
	}
}
