package consumertest_test

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/consumertest"
)

// payments is a fake of a payment service that makes one charge for each idempotency key, and one
// for each request without a key.
type payments struct {
	mu      sync.Mutex
	byKey   map[string]bool
	charged map[string]int // by order
}

func newPayments() *payments {
	return &payments{byKey: make(map[string]bool), charged: make(map[string]int)}
}

func (p *payments) Charge(_ context.Context, order, key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if key != "" && p.byKey[key] {
		return nil
	}
	p.byKey[key] = true
	p.charged["charge of order "+order]++
	return nil
}

// effects returns how often each order was charged.
func (p *payments) effects() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.charged)
}

type orderPlaced struct {
	Order string `json:"order"`
	Cents int    `json:"cents"`
}

// chargeOrder is the way of the handlers below to the service. A client of HTTP needs no Call: it
// has consumertest.Transport.
func chargeOrder(ctx context.Context, p *payments, o orderPlaced, key string) error {
	return consumertest.Call(ctx, "charge", func(ctx context.Context) error {
		return p.Charge(ctx, o.Order, key)
	})
}

func placed(o orderPlaced) bus.Event {
	data := fmt.Sprintf(`{"order":%q,"cents":%d}`, o.Order, o.Cents)
	return bus.Event{ID: o.Order, Topic: "order.placed", Data: []byte(data)}
}
