package natsrequest_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/onceish/onceish/internal/natsrequest"
)

// The quick way to read a confirmation agrees with the slow one.
func FuzzStoredAt(f *testing.F) {
	f.Add([]byte(`{"stream":"S", "seq":12}`))
	f.Add([]byte(`{"stream":"S", "seq":12,"duplicate": true}`))
	f.Add([]byte(`{"stream":"S", "domain":"d", "seq":12}`))
	f.Add([]byte(`{"stream":"S","domain":"d","seq":12}`))
	f.Add([]byte(`{"stream":"S","seq":12}`))
	f.Add([]byte(`{"stream":"S\\", "seq":01}`))
	f.Add([]byte(`{"stream":"KV_x", "seq":99999999999999999999}`))
	f.Add([]byte(`{"error":{"code":400,"err_code":10054,"description":"x"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		quick, ok := natsrequest.StoredAt(data)
		if !ok || !utf8.Valid(data) {
			return
		}
		var slow struct {
			Stream    string `json:"stream"`
			Sequence  uint64 `json:"seq"`
			Duplicate bool   `json:"duplicate"`
		}
		if err := json.Unmarshal(data, &slow); err != nil {
			return // Streams cannot be called that.
		}
		if quick != slow.Sequence || slow.Duplicate || slow.Stream == "" {
			t.Fatalf("%q: quick %+v, slow %+v", data, quick, slow)
		}
	})
}
