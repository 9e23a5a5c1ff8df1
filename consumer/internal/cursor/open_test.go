package cursor

import (
	"context"
	"testing"

	"github.com/onceish/onceish/bus"
)

// busyAdministrator deletes the group's consumer right after it was made, so many times.
type busyAdministrator struct {
	bus.Bus

	fixture *fixture
	left    int
}

func (b *busyAdministrator) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	source, err := b.Bus.Subscribe(ctx, topic, group, o)
	if err == nil && b.left > 0 {
		b.left--
		err = b.fixture.bus.DeleteGroup(topic, group)
	}
	return source, err
}

// A subscription begins although its consumer is deleted in that moment, and misses nothing.
func TestConsumerThatIsDeletedWhileItIsOpenedIsMadeAgain(t *testing.T) {
	w := newFixture(t)
	w.publish("e1", "e2")
	o := w.config()
	o.Bus = &busyAdministrator{Bus: w.bus, fixture: w, left: 1}
	c, opened := w.open(o)
	w.wants("handled", w.handle(c, opened.Watermark, 2), "e1", "e2")
}
