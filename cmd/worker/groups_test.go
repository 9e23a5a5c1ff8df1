package main

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// A group that may be removed by who is sure is refused with the flag that says so.
func TestRefusalToRemoveNamesTheFlagThatGoesOn(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	b, err := natsbus.New(s.Connect(t), &natsbus.Options{Provision: &natsbus.Provision{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	source, err := b.Subscribe(t.Context(), "order.placed", "billing", &bus.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), bus.Event{ID: "1", Topic: "order.placed"}); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Fetch(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := source.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	remove := func(more ...string) (int, string) {
		var out strings.Builder
		args := []string{"worker", "groups", "remove", "billing", "--yes", "--mongo="}
		args = append(append(args, "--nats", s.URL()), more...)
		code := execArgs(t.Context(), args, strings.NewReader(""), &out, &out)
		return code, out.String()
	}
	advice := "workers run, then repeat with --force"
	if code, said := remove(); code != 1 || !strings.Contains(said, advice) {
		t.Errorf("exit status %d: %s", code, said)
	}
	if code, said := remove("--force"); code != 0 {
		t.Errorf("exit status %d: %s", code, said)
	}
}

// Requests for events are members that run: --force does not help then, and is not advised.
func TestForceIsAdvisedWhereItHelps(t *testing.T) {
	t.Parallel()
	for want, groups := range map[bool][][]natsbus.Group{
		true:  {{{Unsettled: 1}}, {{}, {Unsettled: 1}}},
		false: {nil, {{}}, {{Pulls: 1}}, {{Pulls: 1, Unsettled: 1}}, {{Unsettled: 1}, {Pulls: 1}}},
	} {
		for _, g := range groups {
			if got := onlyUnsettled(g); got != want {
				t.Errorf("%+v: %v; want %v", g, got, want)
			}
		}
	}
}
