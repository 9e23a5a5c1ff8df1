package flow

import (
	"context"
	"errors"
	"time"
)

// Store keeps one row of bytes for each key of the limits that processes share. It does not look
// into rows. Implementations must be safe for concurrent use, do nothing before the first call, and
// let no call outlive its ctx.
type Store interface {
	// Now returns the time of the store's server, and by how much it may be wrong. It may measure
	// once in a while; else it does not block.
	Now(ctx context.Context) (now time.Time, doubt time.Duration, err error)
	// Swap replaces the row of key, of which revision was read last, and returns the new one. If
	// the stored row has another revision, it writes nothing, and returns ErrConflict with the
	// stored row. Revision 0 is that of a row that is not there. A row that is gone may be replaced
	// whatever the revision. Rows may be forgotten after ttl, not before. After any other error the
	// row may have been written. Swap retries nothing; the caller does.
	Swap(ctx context.Context, key string, revision uint64, data []byte, ttl time.Duration) (Row, error)
}

// Lister is a Store that can list its rows. It must be safe for concurrent use.
type Lister interface {
	// List returns the first rows, in the byte order of their keys, whose keys begin with prefix
	// and come after another one; at most as many as most, which is at least 1. An empty after is
	// before all. Rows whose ttl is over may be among them. It blocks, writes and makes nothing,
	// retries nothing, and may be repeated. A place that was not made yet has no rows.
	List(ctx context.Context, prefix, after string, most int) (Listing, error)
}

// Listing is what Lister.List returns.
type Listing struct {
	Rows []KeyedRow
	// Next is the key after which there are more rows. Empty: there are no more.
	Next string
	// Now is the time of the store's server, to judge rows by. It may be zero if there are none.
	Now time.Time
}

// KeyedRow is a Row with its key.
type KeyedRow struct {
	Row

	Key string
}

// Row is what a Store keeps for a key. The zero Row is that of a key that has none.
type Row struct {
	Data     []byte
	Revision uint64
}

// ErrConflict is returned by Store.Swap, with the stored row, when another process has written the
// row in between.
var ErrConflict = errors.New("row was written by another process")
