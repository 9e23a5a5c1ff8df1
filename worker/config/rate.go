package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/flow"
)

// maxStartsPerSecond is what a flow.Rate takes.
const maxStartsPerSecond = 1_000_000_000

// Rate is how many handlers may start in a time: 100 per second.
type Rate struct {
	Count int
	Per   time.Duration
}

// String is the rate as it is written in the file.
func (r Rate) String() string {
	for unit, per := range rateUnits() {
		if per == r.Per {
			return strconv.Itoa(r.Count) + "/" + unit
		}
	}
	return ""
}

func rateUnits() map[string]time.Duration {
	return map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}
}

func (r Rate) perSecond() float64 { return float64(r.Count) / r.Per.Seconds() }

// burstSize is what may start at once after a pause: a second's worth, and at least one.
func (r Rate) burstSize() int { return max(1, int(r.perSecond())) }

// newLimiter is a limiter of its own for each call; nil for no limit.
func (r Rate) newLimiter() (flow.Limiter, error) {
	if r == (Rate{}) {
		return nil, nil //nolint:nilnil // no limit
	}
	return flow.NewLocal(flow.Rate{Limit: r.Count, Per: r.Per, Burst: r.burstSize()}, nil)
}

func parseRate(s string) (Rate, error) {
	number, unit, ok := strings.Cut(s, "/")
	per := rateUnits()[strings.TrimSpace(unit)]
	number = strings.TrimSpace(number)
	switch n, err := strconv.ParseUint(number, 10, 63); {
	case !ok || per == 0:
		return Rate{}, fmt.Errorf("%s has no unit that is known: write a rate such as 100/s, 30/m or 5/h", quoteShort(s))
	case errors.Is(err, strconv.ErrRange) || err == nil && n > maxStartsPerSecond:
		return Rate{}, fmt.Errorf("%s is more than %d: leave the key out for no limit", quoteShort(s), maxStartsPerSecond)
	case err != nil:
		return Rate{}, fmt.Errorf("%s does not begin with a whole number: write a rate such as 100/s, 30/m or 5/h", quoteShort(s))
	case n == 0:
		return Rate{}, fmt.Errorf("%s lets nothing start: write a number above 0, or leave the key out for no limit", quoteShort(s))
	default:
		return Rate{Count: int(n), Per: per}, nil
	}
}
