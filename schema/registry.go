package schema

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// RegistryOptions of NewRegistry. The zero value means the defaults.
type RegistryOptions struct {
	// Refresh is after how long the store is read again for new versions of a subject, when an
	// event of it is checked. From 10 ms to 24 h. Default: 30 s.
	Refresh time.Duration
	// Timeout is how long reading may take. From 1 ms to 1 min. Default: 2 s.
	Timeout time.Duration
	// MaxSubjects is how many subjects are remembered. From 1 to 1,000,000. Default: 10,000. Of
	// more, those without a schema are forgotten first.
	MaxSubjects int
	// Logger is told when the store cannot be read, and when it can again. Default:
	// slog.Default().
	Logger *slog.Logger
}

func (o *RegistryOptions) withDefaults() (RegistryOptions, error) {
	r := *cmp.Or(o, &RegistryOptions{})
	r.Refresh = cmp.Or(r.Refresh, 30*time.Second)
	r.Timeout = cmp.Or(r.Timeout, 2*time.Second)
	r.MaxSubjects = cmp.Or(r.MaxSubjects, 10_000)
	r.Logger = cmp.Or(r.Logger, slog.Default())
	switch {
	case r.Refresh < 10*time.Millisecond || r.Refresh > 24*time.Hour:
		return r, fmt.Errorf("%w: Refresh is %v: it must be 10ms to 24h", ErrInvalid, r.Refresh)
	case r.Timeout < time.Millisecond || r.Timeout > time.Minute:
		return r, fmt.Errorf("%w: Timeout is %v: it must be 1ms to 1m", ErrInvalid, r.Timeout)
	case r.MaxSubjects < 1 || r.MaxSubjects > 1_000_000:
		return r, fmt.Errorf("%w: MaxSubjects is %d: it must be 1 to 1000000", ErrInvalid, r.MaxSubjects)
	}
	return r, nil
}

// Registry knows the schemas of a store, as they were read last. Several publishers and middlewares
// share one. It starts no goroutines, and is safe for concurrent use.
type Registry struct {
	store   Store
	options RegistryOptions

	mu       sync.Mutex
	subjects map[Subject]*known
	away     bool // the store could not be read the last time
}

// NewRegistry returns a registry that knows nothing yet. It does not block. Errors are ErrInvalid.
func NewRegistry(store Store, o *RegistryOptions) (*Registry, error) {
	options, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Registry{store: store, options: options, subjects: map[Subject]*known{}}, nil
}

// schemas returns what is known of a subject, after reading the store if it is time to, or if the
// version that is needed is not known. Beside versions there is no error: they are the last known
// ones. It blocks while the first caller reads.
func (r *Registry) schemas(ctx context.Context, s Subject, need int) ([]*Document, error) {
	return r.subject(s).get(ctx, r, need)
}

// subject finds or remembers a subject.
func (r *Registry) subject(s Subject) *known {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.subjects[s]; k != nil {
		return k
	}
	if len(r.subjects) >= r.options.MaxSubjects {
		r.forgetOne()
	}
	k := &known{subject: s}
	r.subjects[s] = k
	return k
}

// forgetOne forgets a subject: one without a schema, if there is one among the first that are
// found. The mutex is held.
func (r *Registry) forgetOne() {
	const looks = 100
	n, last := 0, Subject{}
	for s, k := range r.subjects {
		last = s
		if n++; k.isEmpty() || n == looks {
			break
		}
	}
	delete(r.subjects, last)
}

// note logs that the store went away, or is back, once each.
func (r *Registry) note(s Subject, err error) {
	r.mu.Lock()
	changed := r.away != (err != nil)
	r.away = err != nil
	r.mu.Unlock()
	switch {
	case !changed:
	case err != nil:
		r.options.Logger.Warn("schemas cannot be read; those that are known stay in use", "subject", s.String(), "error", err)
	default:
		r.options.Logger.Info("schemas can be read again", "subject", s.String())
	}
}
