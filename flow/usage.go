package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxUsagePage is how many keys a UsagePage has at most.
const MaxUsagePage = 100

// Usage is what a Store counts of one key of a limit that processes share. What a process has
// reserved counts as started.
type Usage struct {
	// Key is that of the calls of Allow. It is empty if SHA256 is set, or Overflow.
	Key string
	// SHA256 is the hash of a key of more than 256 bytes, in hexadecimal digits.
	SHA256 string
	// Overflow reports whether this is the limit of all keys beyond SharedOptions.MaxKeys.
	Overflow bool
	// Rate is the one that the key was last counted by.
	Rate Rate
	// Limit is how many starts may begin at once when nothing has begun for long, Used how many of
	// them are taken, and Remaining how many more could begin now: none while the key is closed.
	Limit, Used, Remaining int
	// ResetAt is when all of Limit is free again, by the store's clock, if nothing starts until
	// then. Zero: it is now.
	ResetAt time.Time
	// ClosedUntil is when the key opens that CloseFor has closed. Zero: it is open.
	ClosedUntil time.Time
	// Err is why the row cannot be read. The next start repairs it, with nothing left. Nil: the
	// other fields are right.
	Err error
}

// UsagePage is a page of the keys of a limit, in an order that does not change.
type UsagePage struct {
	Keys []Usage
	// Next is what the next page comes after. Empty: this is the last one.
	Next string
}

// ListUsage returns what a store counts of the keys of the limit of a name, of up to most of them,
// 1 to MaxUsagePage, after the Next of another page; an empty after is before all. A key for which
// nothing has started for long is not listed. Pages neither skip nor repeat a key that stays. It
// blocks for the store, changes nothing, and does not retry. A store that is no Lister is an
// errors.ErrUnsupported.
func ListUsage(ctx context.Context, store Store, name, after string, most int) (*UsagePage, error) {
	lister, ok := store.(Lister)
	switch {
	case !ok:
		return nil, fmt.Errorf("flow: the limits of a %T cannot be listed: %w", store, errors.ErrUnsupported)
	case !validName.MatchString(name):
		return nil, invalidNameError(name)
	case most < 1 || most > MaxUsagePage:
		return nil, fmt.Errorf("flow: a page of %d keys: it must be 1 to %d", most, MaxUsagePage)
	}
	head := name + "/"
	if after != "" {
		after = head + after
	}
	listing, err := lister.List(ctx, head, after, most)
	if err != nil {
		return nil, err
	}
	page := &UsagePage{Keys: make([]Usage, len(listing.Rows)), Next: strings.TrimPrefix(listing.Next, head)}
	for i := range listing.Rows {
		row := &listing.Rows[i]
		page.Keys[i] = newUsage(strings.TrimPrefix(row.Key, head), row.Data, listing.Now.UnixNano())
	}
	return page, nil
}

// newUsage judges a row by the time of its server.
func newUsage(part string, data []byte, now int64) Usage {
	var u Usage
	if key, ok := strings.CutPrefix(part, plainPart); ok {
		u.Key = key
	} else if u.SHA256, ok = strings.CutPrefix(part, hashPart); !ok {
		u.SHA256, u.Overflow = "", true
	}
	var s limitState
	if u.Rate, s, u.Err = decodeRow(data, now); u.Err != nil {
		return Usage{Key: u.Key, SHA256: u.SHA256, Overflow: u.Overflow, Err: u.Err}
	}
	at := s.advance(&u.Rate, now)
	free := min(s.free(&u.Rate, at), u.Rate.capacity())
	u.Limit, u.Used = u.Rate.capacity(), u.Rate.capacity()-free
	if s.closed > now {
		u.ClosedUntil = time.Unix(0, s.closed).UTC()
	} else {
		u.Remaining = free
	}
	if fresh := s.freshAt(&u.Rate); fresh > now {
		u.ResetAt = time.Unix(0, fresh).UTC()
	}
	return u
}
