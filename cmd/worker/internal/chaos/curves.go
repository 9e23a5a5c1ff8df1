package chaos

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/procstat"
	"github.com/onceish/onceish/cmd/worker/internal/report"
)

// flightInterval is how often events in flight are counted.
const flightInterval = 200 * time.Millisecond

// curves are what a report plots over time.
type curves struct {
	effects []int // in each second
	flights []report.Point
	counted time.Time
}

func (c *curves) addEffect(at time.Duration) {
	second := max(0, int(at/time.Second))
	for len(c.effects) <= second {
		c.effects = append(c.effects, 0)
	}
	c.effects[second]++
}

// sampleFlights counts the events in flight, if it is time to.
func (c *curves) sampleFlights(begun time.Time, count func() int) {
	now := time.Now()
	if begun.IsZero() || now.Sub(c.counted) < flightInterval {
		return
	}
	c.counted = now
	c.flights = append(c.flights, report.Point{X: now.Sub(begun).Seconds(), Y: float64(count())})
}

func (c *curves) effectPoints() (points []report.Point) {
	for i, n := range c.effects {
		points = append(points, report.Point{X: float64(i) + 0.5, Y: float64(n)})
	}
	return points
}

// measure measures the processes until stop is called.
func (r *round) measure(ctx context.Context) (stop func(), err error) {
	s, err := procstat.NewSampler(&procstat.Options{Start: r.begun, Log: slog.New(slog.NewTextHandler(r.lab.log, nil)).With("process", "chaos")})
	if err != nil {
		return nil, err
	}
	r.fleet.measureWith(s)
	r.injector.measureServer()
	ctx, cancel := context.WithCancel(ctx)
	var measuring sync.WaitGroup
	measuring.Go(func() { _ = s.Run(ctx) }) // it returns nil
	return func() { cancel(); measuring.Wait() }, nil
}
