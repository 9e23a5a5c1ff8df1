package nats

import (
	"context"
	"testing"
	"time"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// Owners that may not make the buckets go on while there are none, and when they are made again.
func TestOwnersGoOnWhileTheirBucketsAreGone(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	newStore(t, nc, nil)
	store := newStore(t, nc, &Options{BindOnly: true})
	session, err := group.Join(t.Context(), store, "g", &group.Options{Heartbeat: testTTL / 6})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- session.Run(ctx) }()
	owned := make(chan *group.Ownership, 10)
	_, err = session.Assign("t", 1, &group.AssignmentOptions{Run: func(ctx context.Context, o *group.Ownership) {
		owned <- o
		<-ctx.Done()
	}})
	if err != nil {
		t.Fatal(err)
	}
	o := <-owned
	natstest.DeleteStream(t, nc, "KV_"+MembersBucket)
	natstest.DeleteStream(t, nc, "KV_"+GroupsBucket)
	time.Sleep(testTTL + testTTL/2) // for what must not happen
	if !o.Certain() {
		t.Error("lost without a bucket")
	}
	other := newStore(t, nc, nil)
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		plans, err := group.Plans(t.Context(), other, "g")
		if err == nil && len(plans) == 1 && plans[0].Partitions[0].Epoch == o.Epoch() {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("not written in again: %+v, %v", plans, err)
		}
	}
	if !o.Certain() || len(owned) > 0 {
		t.Error("lost with other buckets")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
