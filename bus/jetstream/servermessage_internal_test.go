package jetstream

import (
	"testing"

	"github.com/nats-io/nats.go"
)

func TestServerMessage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header    nats.Header
		data      string
		schedules bool
		want      string
	}{
		"no header":                      {},
		"a marker":                       {header: nats.Header{"Nats-Marker-Reason": {"Purge"}}, want: "delete marker: Purge"},
		"a marker's header, with data":   {header: nats.Header{"Nats-Marker-Reason": {"Purge"}}, data: "x"},
		"a schedule":                     {header: nats.Header{"Nats-Schedule": {"@every 1s"}}, data: "x", schedules: true, want: "message schedule"},
		"a schedule that orders nothing": {header: nats.Header{"Nats-Schedule": {"@every 1s"}}, data: "x"},
		"what was scheduled":             {header: nats.Header{"Nats-Scheduler": {"s"}, "Nats-Schedule-Next": {"purge"}}, data: "x", schedules: true},
		"a rollup":                       {header: nats.Header{"Nats-Rollup": {"all"}}, schedules: true},
		"a deletion in a bucket":         {header: nats.Header{"KV-Operation": {"PURGE"}, "Nats-Rollup": {"sub"}}, schedules: true},
	} {
		if got := serverMessage(&nats.Msg{Header: c.header, Data: []byte(c.data)}, c.schedules); got != c.want {
			t.Errorf("%s is taken for %q; want %q", name, got, c.want)
		}
	}
}
