package dedupe

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// Run is one run of a handler for an event, carried by the handler's context. It tells what keeps a
// mark beside an effect under which key to keep it, and which effects the run has had: the mark
// cannot tell a second one from a repeat of the first. Safe for concurrent use.
type Run struct {
	key Key

	mu      sync.Mutex
	effects map[string]struct{}
}

// NewRun is a run for the event of that key.
func NewRun(key Key) *Run { return &Run{key: key, effects: make(map[string]struct{})} }

// Key is what stores know the event by.
func (r *Run) Key() Key { return r.key }

// Begin notes an effect before it is made. False: the run has made it, or is making it.
func (r *Run) Begin(effect string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.effects[effect]; ok {
		return false
	}
	r.effects[effect] = struct{}{}
	return true
}

// Begun returns the effects that were noted whose names begin with a prefix, in the order of their
// names.
func (r *Run) Begun(prefix string) (effects []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for effect := range r.effects {
		if strings.HasPrefix(effect, prefix) {
			effects = append(effects, effect)
		}
	}
	slices.Sort(effects)
	return effects
}

// Failed takes a Begin back: it is not known whether the effect was made, so the run may repeat it.
func (r *Run) Failed(effect string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.effects, effect)
}

type runKey struct{}

// WithRun returns a context that carries the run.
func WithRun(ctx context.Context, r *Run) context.Context { return context.WithValue(ctx, runKey{}, r) }

// RunFrom returns the run of a handler's context; nil elsewhere.
func RunFrom(ctx context.Context) *Run {
	r, _ := ctx.Value(runKey{}).(*Run)
	return r
}
