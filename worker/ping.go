package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
)

// PingStore returns nil if the store of marks answers, and why not otherwise. It makes no bucket:
// where there is none it is ErrNoMarks. It blocks for a round trip, and for connecting where nobody
// has needed the store yet.
func (c *Connections) PingStore(ctx context.Context) error {
	store, err := c.existingStore(ctx)
	if errors.Is(err, kvdedupe.ErrNoBucket) {
		return fmt.Errorf("%w: %w", ErrNoMarks, err)
	}
	if err != nil {
		return err
	}
	// Any key will do: no event has this one.
	_, err = store.Seen(ctx, []dedupe.Key{{Topic: "ping", Group: "ping", ID: "ping"}})
	return err
}
