package jetstream

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

// A confirmation may come when Publish has given up: by then the events are the caller's, who may
// change them. The race detector tells.
func TestLateConfirmationReadsNoEvent(t *testing.T) {
	t.Parallel()
	events := []bus.Event{{ID: "1", Topic: "t"}}
	window := make(chan struct{}, 1)
	window <- struct{}{}
	c := newCall(events, window, &connectionState{}, time.Minute)
	defer c.timer.Stop()
	c.markSent(0)
	if _, err := c.finishReceipts(errors.New("given up")); err == nil {
		t.Fatal("finish: no error")
	}
	late := make(chan struct{})
	go func() {
		defer close(late)
		c.recordConfirmation(0, &nats.Msg{Data: []byte(`{"error":{"err_code":1}}`)})
	}()
	events[0].Topic = "changed"
	<-late
	if r := c.receipts[0]; r.Err == nil || len(window) != 0 {
		t.Errorf("%+v, and %d in the window; want the error of before, and none", r, len(window))
	}
}
