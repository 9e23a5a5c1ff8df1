package jetstream

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// A server that is away may be restarting; that no server fits stays so.
func TestPlacementIsRetriedWhileAServerIsAway(t *testing.T) {
	t.Parallel()
	for description, want := range map[string]bool{
		"no suitable peers for placement, peer offline":                                 true,
		"no suitable peers for placement, tags not matched ['disk:fast'], peer offline": true,
		"no suitable peers for placement, tags not matched ['disk:fast']":               false,
		"no suitable peers for placement, insufficient storage":                         false,
	} {
		err := fmt.Errorf("make a stream: %w", &jetstream.APIError{Code: 400, ErrorCode: codeNoPeers, Description: description})
		if got := isTransient(err); got != want {
			t.Errorf("%q: retried: %v; want %v", description, got, want)
		}
	}
}
