package bustest

import (
	"testing"

	"github.com/onceish/onceish/bus"
)

func starting() []promise {
	return []promise{
		{name: "a new group starts where From says", keeps: startsFrom},
		{name: "a new group starts where Resume says, over From", keeps: startsResume},
		{name: "a group that exists goes on, whatever From and Resume say", keeps: startsNowhere},
	}
}

// spread publishes 4 events whose stored times differ, and returns them as they lie.
func (f *fixture) spread(t *testing.T) []*bus.Delivery {
	t.Helper()
	for _, e := range events(4) {
		f.publish(t, e)
		pause()
	}
	return f.fetch(t, f.subscribe(t, "spread", nil), 4)
}

// begins checks which events a group gets: those wanted, and then event next, which is new.
func (f *fixture) begins(t *testing.T, group string, o *bus.SubscribeOptions, next string, want ...string) {
	t.Helper()
	src := f.subscribe(t, group, o)
	f.publish(t, event(next))
	wantIDs(t, f.fetch(t, src, len(want)+1), append(want, next)...)
}

func startsFrom(t *testing.T, f *fixture) {
	third := f.spread(t)[2].At.Stored
	f.begins(t, "nil", nil, "5", "1", "2", "3", "4")
	f.begins(t, "earliest", &bus.SubscribeOptions{}, "6", "1", "2", "3", "4", "5")
	f.begins(t, "latest", &bus.SubscribeOptions{From: bus.Start{Latest: true}}, "7")
	f.begins(t, "time", &bus.SubscribeOptions{From: bus.Start{Time: third}}, "8", "3", "4", "5", "6", "7")
	f.begins(t, "after", &bus.SubscribeOptions{From: bus.Start{Time: third.Add(1)}}, "9", "4", "5", "6", "7", "8")
}

func startsResume(t *testing.T, f *fixture) {
	third := f.spread(t)[2].At.Stored
	f.begins(t, "earliest", &bus.SubscribeOptions{Resume: bus.Position{Stored: third}}, "5", "3", "4")
	f.begins(t, "latest", &bus.SubscribeOptions{Resume: bus.Position{Stored: third}, From: bus.Start{Latest: true}}, "6", "3", "4", "5")
}

func startsNowhere(t *testing.T, f *fixture) {
	first := f.spread(t)[0].At.Stored
	src := f.subscribe(t, "g", nil)
	ack(t, f.fetch(t, src, 2)...)
	f.readOut(t, src)
	latest := f.subscribe(t, "g", &bus.SubscribeOptions{From: bus.Start{Latest: true}})
	wantIDs(t, f.fetch(t, latest, 1), "3")
	f.readOut(t, latest)
	wantIDs(t, f.fetch(t, f.subscribe(t, "g", &bus.SubscribeOptions{Resume: bus.Position{Stored: first}}), 1), "4")
}
