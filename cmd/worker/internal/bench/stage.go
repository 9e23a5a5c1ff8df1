package bench

import (
	"fmt"
	"slices"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// Stages of an event's way.
const (
	// StagePublish is publishing until the bus has confirmed.
	StagePublish = "publish"
	// StageConsume is fetching and acking, without a store.
	StageConsume = "consume"
	// StageExactlyOnce is consumer.SubscribeExactlyOnce, with a handler that does nothing.
	StageExactlyOnce = "exactly-once"
	// StageOutbox is adding to an outbox, from which a drainer publishes.
	StageOutbox = "outbox"
	// StageAll is each that the servers can do.
	StageAll = "all"
)

// Stages are what Options.Stage may be.
func Stages() []string {
	return []string{StagePublish, StageConsume, StageExactlyOnce, StageOutbox, StageAll}
}

// LeftOut is a stage that was not measured.
type LeftOut struct {
	Stage  string `json:"stage"`
	Reason string `json:"reason"`
}

// stages are those to measure. A stage that was asked for by its name and is impossible is an
// error.
func (o *Options) stages() (stages []string, left []LeftOut, err error) {
	if !slices.Contains(Stages(), o.Stage) {
		return nil, nil, fmt.Errorf("the stage %q is none of %q", o.Stage, Stages())
	}
	for _, s := range Stages() {
		if s == StageAll || o.Stage != StageAll && o.Stage != s {
			continue
		}
		if reason := o.impossible(s); reason != "" {
			left = append(left, LeftOut{Stage: s, Reason: reason})
			continue
		}
		stages = append(stages, s)
	}
	if len(stages) == 0 {
		return nil, nil, fmt.Errorf("the stage %s cannot be measured: %s", o.Stage, left[0].Reason)
	}
	return stages, left, nil
}

// impossible is why a stage cannot be measured; empty if it can.
func (o *Options) impossible(stage string) string {
	if stage == StageOutbox && o.Store == testbed.StoreKV {
		return "a key-value bucket holds no outbox: choose the store mongo or memory"
	}
	return ""
}

// isBacklog reports whether a stage consumes what was stored before, if there is no rate.
func isBacklog(stage string) bool { return stage != StagePublish }
