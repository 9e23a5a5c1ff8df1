package consumertest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"sync"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/consumer/consumertest"
)

// service is a fake of what a handler calls. It makes each effect once for a key, and always for
// none.
type service struct {
	mu   sync.Mutex
	made map[string]int  // by effect
	keys map[string]bool // that were used
}

func newService() *service {
	return &service{made: make(map[string]int), keys: make(map[string]bool)}
}

func (s *service) make(effect, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key != "" && s.keys[key] {
		return nil
	}
	s.keys[key] = true
	s.made[effect]++
	return nil
}

func (s *service) effects() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.made)
}

func order(id string) bus.Event {
	return bus.Event{ID: id, Topic: "order.placed", Data: []byte(`{"cents":5}`)}
}

// explore is CrashPoints of a handler that has a service of its own in each run.
func explore(t *testing.T, k consumertest.Kit, events []bus.Event, h func(context.Context, *service, bus.Event) error) *consumertest.Report {
	t.Helper()
	var s *service
	setup := func() []bus.Event {
		s = newService()
		return events
	}
	handler := func(ctx context.Context, e bus.Event) error { return h(ctx, s, e) }
	return k.CrashPoints(t, setup, handler, func() map[string]int { return s.effects() })
}

// charge makes an effect by a Call.
func charge(ctx context.Context, s *service, effect, key string) error {
	return consumertest.Call(ctx, "charge", func(context.Context) error { return s.make(effect, key) })
}

func chargeSafely(ctx context.Context, s *service, e bus.Event) error {
	return charge(ctx, s, "charge "+e.ID, consumer.AttemptFrom(ctx).IdempotencyKey)
}

func chargeUnsafely(ctx context.Context, s *service, e bus.Event) error {
	return charge(ctx, s, "charge "+e.ID, "")
}

// chargeUnderRandomKey names the effect by its key, as a service may that lists its charges.
func chargeUnderRandomKey(ctx context.Context, s *service, _ bus.Event) error {
	key := rand.Text()
	return charge(ctx, s, "charge "+key, key)
}

// chargeThenCount makes an effect after its last call.
func chargeThenCount(ctx context.Context, s *service, e bus.Event) error {
	if err := chargeSafely(ctx, s, e); err != nil {
		return err
	}
	return s.make("count "+e.ID, "")
}

// chargeInTwoSteps skips the second step if the first one was taken before.
func chargeInTwoSteps(ctx context.Context, s *service, e bus.Event) error {
	if s.effects()["reserve "+e.ID] > 0 {
		return nil
	}
	err := consumertest.Call(ctx, "reserve", func(context.Context) error { return s.make("reserve "+e.ID, "") })
	if err != nil {
		return err
	}
	return charge(ctx, s, "charge "+e.ID, "")
}

var errRefused = errors.New("charged before")

// chargeRefusing takes a charge that was made before for a failure that is final.
func chargeRefusing(ctx context.Context, s *service, e bus.Event) error {
	if s.effects()["charge "+e.ID] > 0 {
		return consumer.Permanent(errRefused)
	}
	return charge(ctx, s, "charge "+e.ID, "")
}
