package consumer_test

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/consumer"
)

func TestLimitsAreWhatIsAccepted(t *testing.T) {
	t.Parallel()
	l := consumer.OptionLimits()
	most := consumer.Options{
		Concurrency: l.Concurrency.Max, MaxAttempts: l.MaxAttempts.Max, MaxCrashes: l.MaxCrashes.Max,
		Backoff:  consumer.Backoff{Base: l.BackoffBase.Max, Max: l.BackoffMax.Max},
		RunLimit: l.RunLimit.Max, Lease: l.Lease.Max, AckWait: l.AckWait.Max, TTL: l.TTL.Max, GiveUp: l.GiveUp.Max, Drain: l.Drain.Max,
	}
	if _, err := most.WithDefaults("g"); err != nil {
		t.Error(err)
	}
	for field, more := range map[string]func(*consumer.Options){
		"Concurrency":  func(o *consumer.Options) { o.Concurrency++ },
		"MaxAttempts":  func(o *consumer.Options) { o.MaxAttempts++ },
		"MaxCrashes":   func(o *consumer.Options) { o.MaxCrashes++ },
		"Backoff.Base": func(o *consumer.Options) { o.Backoff.Base++ },
		"Backoff.Max":  func(o *consumer.Options) { o.Backoff.Max++ },
		"RunLimit":     func(o *consumer.Options) { o.RunLimit++ },
		"Lease":        func(o *consumer.Options) { o.Lease++ },
		"AckWait":      func(o *consumer.Options) { o.AckWait++ },
		"TTL":          func(o *consumer.Options) { o.TTL++ },
		"GiveUp":       func(o *consumer.Options) { o.GiveUp++ },
		"Drain":        func(o *consumer.Options) { o.Drain++ },
	} {
		o := most
		more(&o)
		if _, err := o.WithDefaults("g"); err == nil || !strings.Contains(err.Error(), "Options."+field+" is ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
