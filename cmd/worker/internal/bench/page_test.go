package bench

import (
	"bytes"
	"strings"
	"testing"

	"github.com/onceish/onceish/internal/testing/natstest"
)

func TestPageHasThroughputLatencyAndUsage(t *testing.T) {
	t.Parallel()
	o := onServer(natstest.Start(t, nil))
	o.Stage, o.Rate, o.Baseline, o.Usage = StageConsume, 200, true, true
	r, err := Run(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := r.Page().Render(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Events completed per second", "consume, baseline, run 1", "Latency: consume", "handler to acked, onceish, run 1", "CPU, where 100 % is one core",
		"worker 1", "publisher",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
}
