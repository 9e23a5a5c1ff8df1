package consumer

import (
	"errors"

	"github.com/onceish/onceish/consumer/internal/cursor"
	"github.com/onceish/onceish/consumer/internal/protocol"
)

var (
	// ErrLeaseLost is the cause (context.Cause) of a handler's context when its claim is over or
	// another process has it. Its effect will be made again; an error that it returns does not
	// count.
	ErrLeaseLost = protocol.ErrLeaseLost
	// ErrRunLimit is the cause of a handler's context when the run took longer than
	// Options.RunLimit. It counts as a failure.
	ErrRunLimit = protocol.ErrRunLimit
	// ErrPartitionLost is the cause of a handler's context when its partition may be another
	// process's: this one could not renew its place in the group in time. The run does not count.
	ErrPartitionLost = protocol.ErrPartitionLost
	// ErrLayout is returned by SubscribeExactlyOnce while the group has unsettled events of a topic
	// that lie outside of the layout which Options.Order reads: in another number of partitions, or
	// in none. Subscription.Healthy returns it while such events are found later.
	ErrLayout = errors.New("events lie outside of the layout")
	// ErrNoSession is returned by SubscribeExactlyOnce with an order that needs Options.Session.
	ErrNoSession = errors.New("the order needs Options.Session")
	// ErrDrainTimeout is the cause of a handler's context when draining took longer than
	// Options.Drain. The run does not count.
	ErrDrainTimeout = errors.New("drain time-out reached")
	// ErrDrainIncomplete is returned by Subscription.Err when something was left behind: a handler
	// that did not return, a success whose mark could not be stored. Such events are redelivered.
	ErrDrainIncomplete = errors.New("drain incomplete")
	// ErrNotClaimer is returned by SubscribeExactlyOnce in the modes Claimed and
	// Transactional when the store cannot claim.
	ErrNotClaimer = errors.New("the store cannot claim: it does not implement dedupe.Claimer")
	// ErrNotTransactor is returned by SubscribeExactlyOnce in mode Transactional when the store has
	// no transactions to offer. One whose server has none returns dedupe.ErrNoTransactions.
	ErrNotTransactor = errors.New("the store has no transactions: it does not implement dedupe.Transactor")
	// ErrNoAttempt is returned by handlers that need an idempotency key when their context has
	// no Attempt.
	ErrNoAttempt = errors.New("the context has no consumer.Attempt, which a subscription puts there: use consumer.WithAttempt in tests")
	// ErrNoNotes is returned by KeepNote outside of a run, and where no notes can be kept: the
	// store is no dedupe.Noter, or Options.Mode is another one than Claimed.
	ErrNoNotes = errors.New("no note can be kept: it takes a run in mode Claimed, and a store that implements dedupe.Noter")
	// ErrUnsafeTTL is returned by SubscribeExactlyOnce when marks would expire before
	// redeliveries end.
	ErrUnsafeTTL = errors.New("marks would expire too soon")
	// ErrStreamReplaced is returned by SubscribeExactlyOnce when the topic's stream has none of
	// the events that the group has handled, and events as old as those: it is no copy, or one
	// that the group cannot tell from another stream. Options.FromStream and Options.From say
	// where to go on.
	ErrStreamReplaced = cursor.ErrStreamReplaced
	// ErrDeadLetterTopic is returned by SubscribeExactlyOnce when dead letters could not be kept.
	ErrDeadLetterTopic = errors.New("the dead-letter topic cannot be used")
	// ErrNotLetter is returned by ParseLetter for an event that is no dead letter.
	ErrNotLetter = errors.New("not a dead letter")
	// ErrLetterPart is returned by ParseLetter for a part of a dead letter, of which the letter
	// itself follows, and by Letter.Join when parts are missing.
	ErrLetterPart = errors.New("a part of a dead letter")
)
