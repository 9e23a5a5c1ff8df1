package consumer

import (
	"fmt"
	"time"
)

// Limit is the range of a field, both ends included.
type Limit[T int | time.Duration] struct{ Min, Max T }

// Limits are the ranges of the fields of Options, for programs that let people set them.
type Limits struct {
	Concurrency, MaxUnmarked, MaxAttempts, MaxCrashes                     Limit[int]
	BackoffBase, BackoffMax, RunLimit, Lease, AckWait, TTL, GiveUp, Drain Limit[time.Duration]
}

// OptionLimits returns the ranges that Options.WithDefaults checks. Backoff.Max is also at least
// Backoff.Base, MaxUnmarked at least Concurrency, and TTL longer than Lease; mode Transactional has
// bounds of its own for RunLimit and TTL.
func OptionLimits() Limits {
	const day = 24 * time.Hour
	return Limits{
		Concurrency: Limit[int]{1, 100_000},
		MaxUnmarked: Limit[int]{1, 1_000_000},
		MaxAttempts: Limit[int]{1, 1_000_000},
		MaxCrashes:  Limit[int]{1, 1_000_000},
		BackoffBase: Limit[time.Duration]{time.Millisecond, day},
		BackoffMax:  Limit[time.Duration]{time.Millisecond, 30 * day},
		RunLimit:    Limit[time.Duration]{time.Millisecond, 30 * day},
		Lease:       Limit[time.Duration]{100 * time.Millisecond, day},
		AckWait:     Limit[time.Duration]{100 * time.Millisecond, day},
		TTL:         Limit[time.Duration]{time.Second, 10 * 365 * day},
		GiveUp:      Limit[time.Duration]{time.Second, 10 * 365 * day},
		Drain:       Limit[time.Duration]{time.Millisecond, day},
	}
}

func (l Limit[T]) checkField(field string, value T) error {
	if value < l.Min || value > l.Max {
		return fmt.Errorf("Options.%s is %v: it must be from %v to %v", field, value, l.Min, l.Max)
	}
	return nil
}
