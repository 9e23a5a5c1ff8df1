package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/worker/config"
)

// batched is a file with one subscription that has these keys.
func batched(keys string) string {
	return "group: g\nnats: {url: 'nats://h'}\nsubscriptions:\n- {topic: t, " + keys + "}\n"
}

func TestBatchesAreConfigured(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]config.Batch{
		"concurrency: 100, handler: {http: {url: 'http://h', batch: {}}}":                             {Size: 100, Wait: 50 * time.Millisecond, Bytes: 1 << 20},
		"concurrency: 8, handler: {http: {url: 'http://h', batch: {size: 8, wait: 1s, bytes: 2MiB}}}": {Size: 8, Wait: time.Second, Bytes: 2 << 20},
		"concurrency: 8, handler: {exec: {command: cat, mode: stream, batch: {size: 5}}}":             {Size: 5, Wait: 50 * time.Millisecond, Bytes: 1 << 20},
		"concurrency: auto:2-32, handler: {exec: {command: cat, mode: stream, batch: {size: 32}}}":    {Size: 32, Wait: 50 * time.Millisecond, Bytes: 1 << 20},
	} {
		c := parseConfig(t, batched(keys), nil)
		if got, _ := c.Subscriptions[0].Handler.Batch(); got == nil || *got != want {
			t.Errorf("%s: %+v, want %+v", keys, got, want)
		}
	}
	c := parseConfig(t, batched("handler: {http: {url: 'http://h'}}"), nil)
	if got, _ := c.Subscriptions[0].Handler.Batch(); got != nil {
		t.Errorf("a handler without batches has %+v", got)
	}
}

func TestBatchesThatCannotWorkAreMistakes(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]string{
		"handler: {http: {url: 'http://h', batch: {}}}":                                                                                      "each event of a batch holds a slot, so raise concurrency to 100 or more, or lower handler.http.batch.size",
		"concurrency: auto:2-32, handler: {http: {url: 'http://h', batch: {size: 33}}}":                                                      "raise concurrency to 33 or more",
		"handler: {http: {url: 'http://h', batch: {size: 8, wait: 2s}}}, run_limit: 2s":                                                      "it must be shorter than run_limit, 2s",
		"handler: {http: {url: 'http://h', batch: {size: 8}}}, mode: transactional":                                                          "what this handler does is not in the transaction",
		"handler: {exec: {command: cat, batch: {size: 8}}}":                                                                                  "it needs mode: stream",
		"handler: {http: {url: 'http://h', pass_headers: [X-A], batch: {size: 8}}}":                                                          "it cannot be beside pass_headers",
		"handler: {http: {url: 'http://h', per_host: {concurrency: 4}, batch: {size: 8}}}":                                                   "raise per_host.concurrency to 8 or more",
		"handler: {http: {url: 'http://h', batch: {size: 0}}}":                                                                               "from 1 to 100",
		"handler: {http: {url: 'http://h', batch: {bytes: 65MiB}}}, concurrency: 100":                                                        "from 1B to 64MiB",
		"handler: {http: {url: 'http://h', batch: {size: 8}}}}\n- {topic: u, handler: {http: {url: 'http://h', per_host: {concurrency: 4}}}": "raise per_host.concurrency to 8 or more",
		"handler: {log: {batch: {}}}":                                                                                                        "batch",
	} {
		if problems := lint("w", []byte(batched(keys)), env(nil)); !strings.Contains(problems.Error(), want) {
			t.Errorf("%s\n%v, want %s", keys, problems, want)
		}
	}
}
