package jetstream

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

// The server counts what it delivers: what is missing was lost on its way.
func TestReadNoticesLostDeliveries(t *testing.T) {
	t.Parallel()
	s := &streamReader{stream: "s", consumer: &readConsumer{requested: 3}}
	deliver := func(consumerSequence int) error {
		_, err := s.readMessage(&nats.Msg{Subject: "a", Reply: fmt.Sprintf("$JS.ACK.s.c.1.%d.%d.100.0", 10*consumerSequence, consumerSequence)})
		return err
	}
	if err := deliver(1); err != nil {
		t.Fatal(err)
	}
	if err := deliver(3); err == nil {
		t.Error("the third delivery was taken for the second")
	}
}

// The end of an earlier pull is not that of the last one.
func TestReadTellsPullsApart(t *testing.T) {
	t.Parallel()
	c := &readConsumer{inbox: pullInbox{prefix: "inbox."}, pull: 2, requested: readBatch}
	end := func(pull, code, text string) error {
		return c.endPull(&nats.Msg{Subject: "inbox." + pull, Header: nats.Header{"Status": {code}, "Description": {text}}}, "s")
	}
	if err := end("1", "409", "Batch Completed"); err != nil || c.requested != readBatch {
		t.Errorf("the end of pull 1: %v, %d are requested", err, c.requested)
	}
	if err := end("2", "409", "Consumer Deleted"); err == nil {
		t.Error("the consumer was deleted, and the pull goes on")
	}
	if err := end("2", "409", "Message Size Exceeds MaxBytes"); err != nil || c.requested != 0 || !c.single {
		t.Errorf("a message that is too large for the pull: %v, %d are requested, alone: %v", err, c.requested, c.single)
	}
}
