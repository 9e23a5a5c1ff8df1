package faulty

import (
	"context"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// Call names a call of a bus, a delivery, a store, or an outbox.
type Call string

// The calls that a Plan is asked about.
const (
	Seen       Call = "seen"
	Mark       Call = "mark"
	Claim      Call = "claim"
	Extend     Call = "extend"
	Settle     Call = "settle"
	Watermarks Call = "watermarks"
	Begin      Call = "begin"
	Advance    Call = "advance"
	Replace    Call = "replace"
	Publish    Call = "publish"
	Topic      Call = "topic"
	Subscribe  Call = "subscribe"
	Fetch      Call = "fetch"
	Info       Call = "info"
	Find       Call = "find"
	Ack        Call = "ack"
	Nak        Call = "nak"
	Term       Call = "term"
	Progress   Call = "progress"
	Acquire    Call = "acquire"
	Release    Call = "release"
	Pending    Call = "pending"
	SettleRows Call = "settle rows"
	ReleaseDue Call = "release due rows"
)

// Fault is what goes wrong with one call. The zero Fault is nothing.
type Fault struct {
	// Delay passes before anything is done, or until the call's context ends, with its error.
	Delay time.Duration
	// Before, if not nil, is returned instead of doing anything.
	Before error
	// Then is called after it was done.
	Then func()
	// After, if not nil, is returned although it was done.
	After error
}

// Plan decides what goes wrong with a call. It is called by many goroutines at once.
type Plan func(Call) Fault

// Answer makes a call that returns a value.
func Answer[T any](ctx context.Context, p Plan, c Call, call func() (T, error)) (T, error) {
	var none T
	f := p(c)
	if f.Delay > 0 {
		if err := backoff.Sleep(ctx, f.Delay); err != nil {
			return none, err
		}
	}
	if f.Before != nil {
		return none, f.Before
	}
	out, err := call()
	if f.Then != nil {
		f.Then()
	}
	if f.After != nil {
		return none, f.After
	}
	return out, err
}

// Act makes a call that returns none.
func Act(ctx context.Context, p Plan, c Call, call func() error) error {
	_, err := Answer(ctx, p, c, func() (struct{}, error) { return struct{}{}, call() })
	return err
}
