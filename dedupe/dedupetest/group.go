package dedupetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onceish/onceish/dedupe"
)

// removesGroup: a group that is removed is new on all topics, and others, whatever their names,
// keep all that they have.
func removesGroup(t *testing.T, k *kit) {
	gone := []string{"billing", "b:%*.x>$^", strings.Repeat("g", 600)}
	kept := []string{"bill", "billing2", "x::billing", "b", strings.Repeat("g", 599), "Billing"}
	topics := []string{"order.placed", "billing", "a::billing::b", strings.Repeat("t", 600)}
	fill := func(groups []string) (requests []dedupe.Request) {
		for g, group := range groups {
			for i, topic := range topics {
				requests = append(requests, dedupe.Request{
					Key: dedupe.Key{Topic: topic, Group: group, ID: "billing"}, Nonce: fmt.Sprintf("%d-%d-%d", k.nonces.Add(1), g, i), Lease: lasting, TTL: keeping,
				})
				k.begin(t, group, topic, at(1, 0), at(1, 0))
			}
		}
		return requests
	}
	staying, going := fill(kept), fill(gone)
	k.claims(t, staying...)
	k.claims(t, going...)
	for _, group := range gone {
		n, err := k.remover.RemoveGroup(t.Context(), group)
		if err != nil || n != 2*len(topics) {
			t.Errorf("RemoveGroup of %.20q removed %d, %v, want %d", group, n, err, 2*len(topics))
		}
		if n, err := k.remover.RemoveGroup(t.Context(), group); err != nil || n != 0 {
			t.Errorf("again it removed %d, %v", n, err)
		}
		for _, topic := range topics {
			k.keeps(t, group, topic)
		}
	}
	k.wants(t, going, dedupe.Fresh)
	k.wants(t, staying, dedupe.Held)
	for _, group := range kept {
		for _, topic := range topics {
			k.keeps(t, group, topic, at(1, 0))
		}
	}
}

// wants asks for the state of each key.
func (k *kit) wants(t *testing.T, requests []dedupe.Request, want dedupe.State) {
	t.Helper()
	for _, r := range requests {
		states, err := k.store.Seen(t.Context(), []dedupe.Key{r.Key})
		if err != nil || states[0].State != want {
			t.Errorf("%.80q is %v, %v, want %v", r.Key.String(), states, err, want)
		}
	}
}
