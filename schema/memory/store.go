package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/onceish/onceish/schema"
)

// Store is a schema.Store in memory. Its methods do not block. The zero Store is empty.
type Store struct {
	mu       sync.Mutex
	versions map[schema.Subject][][]byte
}

var _ schema.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return &Store{} }

// Subjects implements schema.Store.
func (s *Store) Subjects(ctx context.Context) ([]schema.Subject, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]schema.Subject, 0, len(s.versions))
	for subject := range s.versions {
		out = append(out, subject)
	}
	slices.SortFunc(out, func(a, b schema.Subject) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), strings.Compare(a.Type, b.Type))
	})
	return out, nil
}

// Versions implements schema.Store.
func (s *Store) Versions(ctx context.Context, subject schema.Subject, above int) ([]schema.Version, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	subject = subject.WithDefaults()
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := s.versions[subject]
	var out []schema.Version
	for i := max(above, 0); i < len(stored); i++ {
		v, err := schema.DecodeVersion(stored[i], subject, i+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Add implements schema.Store.
func (s *Store) Add(ctx context.Context, v schema.Version) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := v.Validate(); err != nil {
		return err
	}
	text, err := v.Encode()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	subject := v.WithDefaults()
	if n := len(s.versions[subject]); v.Number != n+1 {
		return fmt.Errorf("%w: version %d of %s: it has %d", schema.ErrConflict, v.Number, subject, n)
	}
	if s.versions == nil {
		s.versions = map[schema.Subject][][]byte{}
	}
	s.versions[subject] = append(s.versions[subject], text)
	return nil
}
