package config

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/flow"
)

// Bounds of flow.Rate.
const (
	maxStarts    = 1_000_000_000
	maxLogStarts = 1_000_000 // of a sliding-log
	maxRatePer   = 366 * day
	maxLimitKeys = 10_000_000
)

// What a limit may be for, beside byHeader and the name of a header.
const (
	byTopic  = "topic"
	byKey    = "key"
	byType   = "type"
	byHeader = "header:"
)

// Rate is how many handlers may start over time.
type Rate struct {
	// Limit is how many, and in which time if it was written with a unit.
	Limit Starts
	// Per is the time of a Limit without one. Zero: 1 s.
	Per time.Duration
	// Burst is how many may start at once after a rest, with strategy token-bucket. Zero: what may
	// start in a second, and at least one; all of a Limit without a unit.
	Burst    int
	Strategy flow.Strategy
	// By is what has a limit of its own: topic, key, type or header:NAME. Empty: topic.
	By string
	// Shared is one limit over all processes of the group.
	Shared bool
	// OnOutage is what holds while the store of a shared limit cannot be used.
	OnOutage flow.OnOutage
	// Queue and MaxWait are consumer.Options.LimitQueue and LimitWait. Zero: their defaults.
	Queue   int
	MaxWait time.Duration
	// MaxKeys is how many keys have a limit of their own.
	MaxKeys int
}

// Starts is how many handlers may start in a time: 100 per second.
type Starts struct {
	Count int
	// Per is zero where it was written without a unit.
	Per time.Duration
}

// String is the limit as it is written in the file.
func (s Starts) String() string {
	for unit, per := range rateUnits() {
		if per == s.Per {
			return strconv.Itoa(s.Count) + "/" + unit
		}
	}
	return strconv.Itoa(s.Count)
}

func rateUnits() map[string]time.Duration {
	return map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}
}

// FlowRate returns the rate for a limiter.
func (rate *Rate) FlowRate() flow.Rate {
	out := flow.Rate{Limit: rate.Limit.Count, Per: cmp.Or(rate.Limit.Per, rate.Per, time.Second), Burst: rate.Burst, Strategy: rate.Strategy}
	if rate.Limit.Per > 0 && rate.Strategy == flow.TokenBucket {
		out.Burst = cmp.Or(out.Burst, max(1, int(float64(rate.Limit.Count)/rate.Limit.Per.Seconds())))
	}
	return out
}

// newLimiter returns a limiter of its own for each call; nil for one that is shared, which needs
// a store.
func (rate *Rate) newLimiter() (flow.Limiter, error) {
	if rate.Shared {
		return nil, nil //nolint:nilnil // no limit here
	}
	return flow.NewLocal(rate.FlowRate(), &flow.LocalOptions{MaxKeys: rate.MaxKeys})
}

// limitKeyFunc returns what has a limit of its own. Nil: the topic.
func (rate *Rate) limitKeyFunc() func(bus.Event) string {
	switch rate.By {
	case byTopic, "":
		return nil
	case byKey:
		return func(e bus.Event) string { return e.Key }
	case byType:
		return func(e bus.Event) string { return cmp.Or(e.Type, e.Topic) }
	}
	name := strings.TrimPrefix(rate.By, byHeader)
	return func(e bus.Event) string { return e.Headers.Get(name) }
}

func parseStarts(s string) (Starts, error) {
	number, unit, hasUnit := strings.Cut(s, "/")
	per := rateUnits()[strings.TrimSpace(unit)]
	number = strings.TrimSpace(number)
	switch n, err := strconv.ParseUint(number, 10, 63); {
	case hasUnit && per == 0:
		return Starts{}, noUnitError(quoteShort(s))
	case errors.Is(err, strconv.ErrRange) || err == nil && n > maxStarts:
		return Starts{}, fmt.Errorf("%s is more than %d: leave the rate out for no limit", quoteShort(s), maxStarts)
	case err != nil || !hasUnit && !decimal.MatchString(number): // what is octal to one is decimal to another
		return Starts{}, fmt.Errorf("%s does not begin with a whole number: write a rate such as 100/s, 30/m or 5/h", quoteShort(s))
	case n == 0:
		return Starts{}, fmt.Errorf("%s lets nothing start: write a number above 0, or leave the rate out for no limit", quoteShort(s))
	default:
		return Starts{Count: int(n), Per: per}, nil
	}
}

// ParsePerSecond takes a rate with a unit, such as 100/s, 30/m or 5/h, and returns it per second.
func ParsePerSecond(s string) (float64, error) {
	starts, err := parseStarts(s)
	if err == nil && starts.Per == 0 {
		err = noUnitError(quoteShort(s))
	}
	if err != nil {
		return 0, err
	}
	return float64(starts.Count) / starts.Per.Seconds(), nil
}

func noUnitError(shown string) error {
	return fmt.Errorf("%s has no unit that is known: write a rate such as 100/s, 30/m or 5/h", shown)
}
