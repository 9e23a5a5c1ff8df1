package group

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Lease is the right to do what one process of a group does at a time. It is renewed with its
// session, and released when that leaves. Its methods are safe for concurrent use.
type Lease struct {
	session *Session
	name    string
	row     leaseRow
	token   uint64
	done    chan struct{} // closed when it has ended

	// Guarded by the session's mutex.

	renewed time.Time // when the last renewal was sent
	err     error     // why it has ended
}

// leaseRow names the holder of a lease; the nonce is of this lease alone. Without them it is free.
type leaseRow struct {
	Owner string `json:"owner,omitempty"`
	Nonce string `json:"nonce,omitempty"`
}

// Acquire takes a lease of the group by name, 1 to 256 bytes without control characters. It returns
// ErrHeld while another process, or this one, holds it. A lease lasts for the store's TTL after
// each renewal. Acquire blocks for two calls of the store.
func (s *Session) Acquire(ctx context.Context, name string) (*Lease, error) {
	if err := validateText("lease", name, 1, maxName); err != nil {
		return nil, err
	}
	l := &Lease{
		session: s, name: name, row: leaseRow{Owner: s.id, Nonce: rand.Text()}, done: make(chan struct{}), renewed: s.options.Now(),
	}
	listing, err := s.list(ctx, LeaseRows)
	if err == nil {
		l.token, err = s.replaceLease(ctx, &listing, name, l.row, func(r leaseRow) bool {
			return r.Owner == "" || r.Owner == s.id && !s.holds(name) // what it held when it was frozen, say
		})
	}
	if err != nil {
		return nil, fmt.Errorf("lease %q: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return nil, fmt.Errorf("lease %q: %w", name, ErrLeft)
	}
	s.leases[name] = l
	return l, nil
}

// Token returns the fencing token: it is larger than that of each earlier holder, until the store
// is deleted or restored from a copy.
func (l *Lease) Token() uint64 { return l.token }

// Done is closed when the lease has ended. That is noticed before another process can take it, but
// for a process that is frozen: who must be sure checks the token where it writes.
func (l *Lease) Done() <-chan struct{} { return l.done }

// Err returns nil while the lease is held, and then ErrLost or ErrReleased.
func (l *Lease) Err() error {
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	return l.err
}

// Release gives the lease back, so that others can take it at once. It blocks for two calls of the
// store. If it fails, the lease runs out by itself. A repeated call does nothing.
func (l *Lease) Release(ctx context.Context) error {
	if !l.end(ErrReleased) {
		return nil
	}
	listing, err := l.session.list(ctx, LeaseRows)
	if err == nil {
		_, err = l.session.replaceLease(ctx, &listing, l.name, leaseRow{}, l.isRow)
	}
	if err != nil && !errors.Is(err, ErrHeld) {
		return fmt.Errorf("lease %q is not released, and runs out by itself: %w", l.name, err)
	}
	return nil
}

func (l *Lease) isRow(r leaseRow) bool { return r == l.row }

// end ends the lease, and reports whether this call did.
func (l *Lease) end(why error) bool {
	s := l.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.err != nil {
		return false
	}
	l.err = why
	close(l.done)
	delete(s.leases, l.name)
	return true
}

// renewLeases stores the rows again. A row that is another's, or was deleted, ends its lease.
func (s *Session) renewLeases(ctx context.Context) (failed error) {
	held := s.heldLeases()
	if len(held) == 0 {
		return nil
	}
	listing, err := s.list(ctx, LeaseRows)
	if err != nil {
		return err
	}
	for _, l := range held {
		sent := s.options.Now()
		_, err := s.replaceLease(ctx, &listing, l.name, l.row, l.isRow)
		switch {
		case err == nil:
			s.mu.Lock()
			l.renewed = sent
			s.mu.Unlock()
		case !errors.Is(err, ErrHeld):
			failed = errors.Join(failed, fmt.Errorf("lease %q: %w", l.name, err))
		case l.end(ErrLost):
			s.log.Warn("lease was lost: another process has it, or its row was deleted", "lease", l.name)
		}
	}
	return failed
}

// replaceLease stores the row of a lease in the place of the listed one, if that may be replaced;
// if none is listed, of a free one. It returns ErrHeld if it may not, or is another one by now.
func (s *Session) replaceLease(ctx context.Context, listing *Listing, name string, row leaseRow, may func(leaseRow) bool) (uint64, error) {
	var (
		last   Row
		holder leaseRow
	)
	if i := slices.IndexFunc(listing.Rows, func(r Row) bool { return r.Key == name }); i >= 0 {
		last = listing.Rows[i]
		if err := json.Unmarshal(last.Data, &holder); err != nil {
			return 0, fmt.Errorf("row cannot be read: %w", err)
		}
	}
	if !may(holder) {
		return 0, fmt.Errorf("%w: %s", ErrHeld, holder.Owner)
	}
	data, err := json.Marshal(row)
	if err != nil {
		return 0, err
	}
	revision, err := s.put(ctx, LeaseRows, name, data, last.Revision)
	if errors.Is(err, ErrConflict) {
		err = ErrHeld
	}
	return revision, err
}

func (s *Session) holds(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leases[name] != nil
}

func (s *Session) heldLeases() []*Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.leases))
}

// loseLeases ends the leases whose last renewal was sent longer ago than a limit.
func (s *Session) loseLeases(now time.Time, limit time.Duration) {
	for _, l := range s.heldLeases() {
		s.mu.Lock()
		lost := elapsed(l.renewed, now) >= limit
		s.mu.Unlock()
		if lost && l.end(ErrLost) {
			s.log.Warn("lease was lost: it was not renewed in time", "lease", l.name)
		}
	}
}
