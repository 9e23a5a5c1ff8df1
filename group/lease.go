package group

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Lease is the right to do what one process of a group does at a time. It is renewed with its
// session, and released when that leaves. Its methods are safe for concurrent use.
type Lease struct {
	session *Session
	name    string
	row     []byte
	token   uint64
	done    chan struct{} // closed when it has ended

	// Guarded by the session's mutex.

	revision uint64
	renewed  time.Time // when the last renewal was sent
	err      error     // why it has ended
}

// leaseRow names the holder of a lease; the nonce is of this lease alone.
type leaseRow struct {
	Owner string `json:"owner"`
	Nonce string `json:"nonce"`
}

// Acquire takes a lease of the group by name, 1 to 256 bytes without control characters. It
// returns ErrHeld while another process, or this one, holds it. It lasts for the store's TTL after
// each renewal. It blocks for two calls of the store.
func (s *Session) Acquire(ctx context.Context, name string) (*Lease, error) {
	if name == "" {
		return nil, fmt.Errorf("%w: lease is empty", ErrInvalid)
	}
	if err := validateText("lease", name, maxName); err != nil {
		return nil, err
	}
	row, found, err := s.findLease(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("lease %q: %w", name, err)
	}
	if found && (s.holds(name) || row.holder().Owner != s.id) {
		return nil, fmt.Errorf("lease %q: %w: %s", name, ErrHeld, row.holder().Owner)
	}
	data, err := json.Marshal(leaseRow{Owner: s.id, Nonce: rand.Text()})
	if err != nil {
		return nil, err
	}
	l := &Lease{session: s, name: name, row: data, done: make(chan struct{}), renewed: s.options.Now()}
	l.token, err = s.store.Put(ctx, LeaseRows, s.group, name, data, row.Revision)
	if errors.Is(err, ErrConflict) {
		err = ErrHeld
	}
	if err != nil {
		return nil, fmt.Errorf("lease %q: %w", name, err)
	}
	l.revision = l.token
	s.mu.Lock()
	if s.left {
		s.mu.Unlock()
		return nil, errors.Join(fmt.Errorf("lease %q: %w", name, ErrLeft), l.deleteRow(ctx))
	}
	s.leases[name] = l
	s.mu.Unlock()
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

// Release gives the lease back, so that others can take it at once. It blocks for a call of the
// store or two. If it fails, the lease runs out by itself. A lease that has ended is released.
func (l *Lease) Release(ctx context.Context) error {
	if !l.end(ErrReleased) {
		return nil
	}
	return l.deleteRow(ctx)
}

func (l *Lease) deleteRow(ctx context.Context) error {
	err := l.session.store.Delete(ctx, LeaseRows, l.session.group, l.name, l.revisionNow())
	if errors.Is(err, ErrConflict) { // a renewal was stored meanwhile, or the row is another's
		var row Row
		var mine bool
		if row, mine, err = l.findRow(ctx); err == nil && mine {
			err = l.session.store.Delete(ctx, LeaseRows, l.session.group, l.name, row.Revision)
		}
	}
	if err != nil {
		return fmt.Errorf("releasing lease %q, which runs out by itself: %w", l.name, err)
	}
	return nil
}

func (l *Lease) revisionNow() uint64 {
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	return l.revision
}

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

// renew stores the row again. A conflict is with a renewal whose answer was lost, or the end.
func (l *Lease) renew(ctx context.Context) error {
	s := l.session
	ctx, cancel := context.WithTimeout(ctx, s.callTimeout())
	defer cancel()
	sent := s.options.Now()
	revision, err := s.store.Put(ctx, LeaseRows, s.group, l.name, l.row, l.revisionNow())
	if errors.Is(err, ErrConflict) {
		row, mine, failed := l.findRow(ctx)
		switch {
		case failed != nil:
			return failed
		case !mine:
			if l.end(ErrLost) {
				s.log.Warn("lease was lost: another process has it, or its row was deleted", "lease", l.name)
			}
			return nil
		}
		revision, err = s.store.Put(ctx, LeaseRows, s.group, l.name, l.row, row.Revision)
	}
	if err != nil {
		return fmt.Errorf("renewing lease %q: %w", l.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.revision, l.renewed = revision, sent
	return nil
}

func (l *Lease) findRow(ctx context.Context) (row Row, mine bool, err error) {
	row, found, err := l.session.findLease(ctx, l.name)
	return row, found && string(row.Data) == string(l.row), err
}

// findLease returns the row of a lease; its revision is zero if there is none.
func (s *Session) findLease(ctx context.Context, name string) (row Row, found bool, err error) {
	listing, err := s.store.List(ctx, LeaseRows, s.group)
	if err != nil {
		return Row{}, false, err
	}
	i := slices.IndexFunc(listing.Rows, func(r Row) bool { return r.Key == name })
	if i < 0 {
		return Row{}, false, nil
	}
	return listing.Rows[i], true, nil
}

// holder returns who holds a lease; nobody, if its row cannot be read.
func (r *Row) holder() (l leaseRow) {
	if err := json.Unmarshal(r.Data, &l); err != nil {
		return leaseRow{}
	}
	return l
}

func (s *Session) holds(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leases[name] != nil
}

func (s *Session) heldLeases() []*Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := make([]*Lease, 0, len(s.leases))
	for _, l := range s.leases {
		held = append(held, l)
	}
	return held
}

func (s *Session) renewLeases(ctx context.Context) (failed error) {
	for _, l := range s.heldLeases() {
		failed = errors.Join(failed, l.renew(ctx))
	}
	return failed
}

// loseLeases ends those leases that are over.
func (s *Session) loseLeases(over func(*Lease) bool) {
	for _, l := range s.heldLeases() {
		s.mu.Lock()
		lost := over(l)
		s.mu.Unlock()
		if lost && l.end(ErrLost) {
			s.log.Warn("lease was lost: it was not renewed in time", "lease", l.name)
		}
	}
}
