package group

import (
	"context"
	"math"
	"time"
)

// Space is a kind of rows. Keys of different spaces never meet.
type Space int

// The spaces of a Store.
const (
	// MemberRows are the members, by id. A row is gone TTL after it was stored.
	MemberRows Space = iota
	// PauseRows are what was paused or resumed last, by scope. They stay.
	PauseRows
	// LeaseRows are the holders of leases, by name. A row is gone TTL after it was stored.
	LeaseRows
	// PlanRows are the plans of who owns which partition, by topic. They stay.
	PlanRows
)

// DefaultTTL is the TTL of a Store unless it is told another one.
const DefaultTTL = 30 * time.Second

// AnyRevision is the expectation of a write that replaces whatever there is.
const AnyRevision uint64 = math.MaxUint64

// Store keeps the rows of groups. All rules are in this package; a Store only keeps rows, and the
// time. Its methods are safe for concurrent use. They block until the store has answered, or ctx
// ends, and retry nothing. A call that failed may have been carried out. One that failed because
// the store does not exist, and cannot be made, is ErrNoStore.
type Store interface {
	// TTL returns how long rows of members and leases live after they were stored. It does
	// not block.
	TTL() time.Duration
	// List returns the rows of a group, in any order. It sees every write that was confirmed before
	// it was called. What is past its TTL by the store's clock is not listed.
	List(ctx context.Context, space Space, group string) (Listing, error)
	// Put stores a row and returns its revision, which is larger than all before it in the space.
	// It returns ErrConflict if the row's revision is not expect; zero expects that there is no
	// row.
	Put(ctx context.Context, space Space, group, key string, data []byte, expect uint64) (uint64, error)
	// Delete removes a row, whatever its revision. A row that is not there is deleted already.
	Delete(ctx context.Context, space Space, group, key string) error
	// Watch calls changed when it has begun, and after changes of the group's pauses and plans; one
	// call may stand for several changes, and some for none. It blocks until ctx ends, when it
	// returns nil, or the watch does, whose caller starts it again. It may miss changes, so its
	// caller lists from time to time as well. changed must not block.
	Watch(ctx context.Context, group string, changed func()) error
}

// Connector is an extra ability of a Store that is reached over a connection.
type Connector interface {
	// Connected reports whether the connection is up, as far as is known. It does not block.
	Connected() bool
}

// Row is one value in a Store.
type Row struct {
	Key      string
	Data     []byte
	Revision uint64
	// Stored is when the revision was stored, by the store's clock.
	Stored time.Time
}

// Listing is what a group has in a space at one moment.
type Listing struct {
	Rows []Row
	// Revision is one up to which every write to the group and space is in the listing. It is
	// that of the last such write, unless writes went on meanwhile.
	Revision uint64
	// Incarnation differs between a store that was deleted and the one made in its place, whose
	// revisions start again.
	Incarnation string
	// Created is when this incarnation was made, by the store's clock.
	Created time.Time
	// Now is the store's time.
	Now time.Time
}
