package bench

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/procstat"
	"github.com/onceish/onceish/cmd/worker/internal/report"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// sampleEvery is how often CPU and memory are read.
const sampleEvery = 250 * time.Millisecond

// startSampling samples this process, and the bench's own server, from begun on. What it returns
// ends that, and makes charts of it.
func (r *rig) startSampling(ctx context.Context, begun time.Time) (stop func() []report.Chart, err error) {
	if !r.o.Usage {
		return func() []report.Chart { return nil }, nil
	}
	if r.sampler, err = procstat.NewSampler(&procstat.Options{Interval: sampleEvery, Start: begun, Log: workLogger(r.log)}); err != nil {
		return nil, err
	}
	r.sampler.Add("publisher", os.Getpid())
	if r.own != nil {
		r.sampler.Add("NATS server", r.own.PID())
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.sampler.Run(ctx) }()
	return func() []report.Chart {
		cancel()
		<-ended //nolint:errcheck // it ends with its context
		return r.sampler.Charts(nil)
	}, nil
}

// sampleWorkers samples the processes of a measurement, in place of those of the one before.
func (r *rig) sampleWorkers(pool *testbed.Pool) {
	if r.sampler == nil {
		return
	}
	for i, p := range pool.Processes() {
		r.sampler.Add(fmt.Sprintf("worker %d", i+1), p.PID())
	}
}
