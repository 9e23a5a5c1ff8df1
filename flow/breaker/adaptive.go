package breaker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/onceish/onceish/flow"
)

// AdaptiveOptions of NewAdaptiveLimit. The zero value means the defaults.
type AdaptiveOptions struct {
	// Min is the lowest limit. Default: 1; from 1 to the highest.
	Min int
	// Logger gets each change of the limit, as debug. Default: slog.Default().
	Logger *slog.Logger
}

// AdaptiveLimit is a Gate that lets as many runs in at once as its receiver can do without queueing
// them, within bounds. It is safe for concurrent use and starts no goroutine.
//
// It starts at 4. It measures how long runs take under a lower and an upper limit in turn, for 100
// runs or eight times the limit, and up to 2,000 if their times vary much. Then it moves both
// limits: up while runs take no longer under the upper one, at first to twice as many each time,
// and down when they take longer in proportion. It settles where the lower limit is just below what
// the receiver can do at once and the upper one just above, and then compares less often. The time
// that failures took is added to that of the successes; after more failures than successes the
// limit falls. A run that ends with context.Canceled counts for nothing. While fewer runs start
// than the limit allows, it stays.
type AdaptiveLimit struct {
	admission

	minimum, maximum int
	log              *slog.Logger
	level            float64 // the lower limit, before rounding
	gain             float64 // how far one comparison moves level
	direction        float64 // the sign of the last move
	measured         window  // of the present limit
	lower, upper     window  // of the last comparison
	phase            phase
	held, calm       int // windows since the comparison, and how many there are before the next one
}

// phase is what the present window is measured for.
type phase uint8

const (
	measureLower phase = iota
	measureUpper
	hold
)

const (
	spread  = 1.5  // the upper limit is so many times the lower one
	knee    = 0.7  // the growth of latency, from 0 to 1, at which the limit stays
	minGain = 0.25 // of one comparison, when the last ones did not agree
	maxCalm = 8    // windows between two comparisons
)

var _ flow.AdaptiveGate = (*AdaptiveLimit)(nil)

// NewAdaptiveLimit returns an AdaptiveLimit of at most maximum, which is from 1 to 100,000. o may
// be nil.
func NewAdaptiveLimit(maximum int, o *AdaptiveOptions) (*AdaptiveLimit, error) {
	options := *cmp.Or(o, &AdaptiveOptions{})
	options.Min = cmp.Or(options.Min, 1)
	if err := errors.Join(
		checkRange("the maximum of an adaptive limit", maximum, 1, 100_000),
		checkRange("AdaptiveOptions.Min", options.Min, 1, max(maximum, 1)),
	); err != nil {
		return nil, err
	}
	start := min(max(4, options.Min), maximum)
	return &AdaptiveLimit{
		admission: newAdmission(start, adaptiveReason),
		minimum:   options.Min, maximum: maximum, log: cmp.Or(options.Logger, slog.Default()),
		level: float64(start), gain: 1,
	}, nil
}

const adaptiveReason = "adaptive"

// Enter implements flow.Gate.
func (l *AdaptiveLimit) Enter(ctx context.Context) (leave func(error), err error) {
	r := &run{}
	if err := l.enter(ctx, r); err != nil {
		return nil, err
	}
	return func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.release(r) {
			return
		}
		if r.generation == l.generation && !errors.Is(err, context.Canceled) {
			l.measure(r, err != nil)
		}
		l.admitWaiting()
	}, nil
}

// Capacity implements flow.AdaptiveGate. It is never below the lowest limit or above the highest.
func (l *AdaptiveLimit) Capacity() (c flow.Capacity, changed <-chan struct{}) {
	return l.currentCapacity()
}

// The methods below are called with mu held.

func (l *AdaptiveLimit) measure(r *run, failed bool) {
	l.measured.add(time.Since(r.began), r.beside, failed)
	if !l.measured.enough(l.capacity.Limit) {
		return
	}
	done := l.measured
	switch l.phase {
	case measureLower:
		l.lower, l.phase = done, measureUpper
	case measureUpper:
		l.upper, l.phase, l.held = done, hold, 0
		l.move(growth(l.lower, done))
	case hold:
		l.held++
		if change := done.cost() / l.upper.cost(); !(change > 1/1.3 && change < 1.3) {
			l.calm = 0
		}
	}
	if l.phase == hold && l.held >= l.calm {
		l.phase = measureLower
	}
	l.startWindow()
}

// move moves the limits by how much latency has grown between them. NaN: not at all.
func (l *AdaptiveLimit) move(grown float64) {
	l.calm = min(l.calm+1, maxCalm)
	if math.IsNaN(grown) {
		return
	}
	direction := math.Copysign(1, knee-grown)
	switch {
	case direction == -l.direction:
		l.gain = max(minGain, l.gain/2)
	case l.direction != 0:
		l.gain = min(1, l.gain*1.5)
	}
	l.direction = direction
	top := max(float64(l.minimum), float64(l.maximum)/spread)
	before := l.level
	l.level = min(max(before*math.Exp(l.gain*(knee-grown)), float64(l.minimum)), top)
	if math.Abs(l.level/before-1) > 0.1 {
		l.calm = 0
	}
	l.log.Debug("adaptive limit moved", "from", before, "to", l.level, "growth", grown)
}

// startWindow sets the limit of the present phase. What began under the last one is not measured.
func (l *AdaptiveLimit) startWindow() {
	limit := min(max(int(math.Round(l.level)), l.minimum), l.maximum)
	if l.phase != measureLower {
		limit = min(max(limit+1, int(math.Round(l.level*spread))), l.maximum)
	}
	l.measured = window{}
	l.generation++
	l.setCapacity(flow.Capacity{Limit: limit, Reason: adaptiveReason})
}
