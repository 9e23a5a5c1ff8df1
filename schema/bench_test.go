package schema_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	memschema "github.com/onceish/onceish/schema/memory"
)

// orderSchema is what an order of about 1 KB is checked against.
const orderSchema = `{
	"type": "object",
	"required": ["id", "customer", "total", "currency", "placed", "items"],
	"properties": {
		"id": {"type": "string", "pattern": "^o-[0-9]+$"},
		"customer": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "name": {"type": "string", "maxLength": 100}, "tags": {"type": "array", "items": {"type": "string"}}}},
		"total": {"type": "integer", "minimum": 0},
		"currency": {"enum": ["EUR", "CHF", "USD"]},
		"placed": {"type": "string", "format": "date-time"},
		"items": {"type": "array", "maxItems": 1000, "items": {"$ref": "#/$defs/item"}},
		"note": {"type": "string"}
	},
	"$defs": {"item": {"type": "object", "required": ["sku", "count"], "properties": {"sku": {"type": "string"}, "count": {"type": "integer", "minimum": 1}, "cents": {"type": "integer"}, "name": {"type": "string"}}}}
}`

func order() []byte {
	items := make([]string, 0, 8)
	for i := range 8 {
		items = append(items, fmt.Sprintf(`{"sku":"sku-%05d","count":%d,"cents":%d,"name":"a thing of kind %d, with a name"}`, i, i+1, i*199, i))
	}
	return fmt.Appendf(nil, `{"id":"o-1234567","customer":{"id":"c-17","name":"A Customer","tags":["new","eu"]},"total":123456,"currency":"EUR","placed":"2026-01-31T15:04:05Z","items":[%s],"note":%q}`,
		strings.Join(items, ","), strings.Repeat("please ring ", 12))
}

// BenchmarkCheck: the check of an event of 1 KB, as a Publisher and a Middleware do it, against
// decoding the same data into any, which both do too. Wanted is less than 20 µs.
func BenchmarkCheck(b *testing.B) {
	s := memschema.New()
	add(b, s, orderSchema, nil)
	to := discard{}
	p := publisher(b, to, registry(b, s), nil)
	e := event("1", string(order()))
	var ours, baseline time.Duration
	rounds := 0
	for b.Loop() {
		const n = 100
		at := time.Now()
		for range n {
			if _, err := p.Publish(b.Context(), e); err != nil {
				b.Fatal(err)
			}
		}
		ours += time.Since(at)
		at = time.Now()
		for range n {
			var v any
			if err := json.Unmarshal(e.Data, &v); err != nil {
				b.Fatal(err)
			}
		}
		baseline += time.Since(at)
		rounds += n
	}
	b.ReportMetric(float64(len(e.Data)), "bytes")
	b.ReportMetric(float64(ours.Nanoseconds())/float64(rounds)/1000, "µs/event")
	b.ReportMetric(float64(ours)/float64(baseline), "x-unmarshal")
}

// discard is a bus.Publisher that stores nothing.
type discard struct{}

func (discard) Publish(_ context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	return make([]bus.Receipt, len(events)), nil
}
