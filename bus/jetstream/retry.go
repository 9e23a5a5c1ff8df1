package jetstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/backoff"
)

// What several processes make at the same time is there for some of them before it can be used: its
// name is taken, and its leader is not elected yet. None of them has to give up for that.

const (
	// makingTimeoutFactor times Options.APITimeout is how long something that is being made
	// is waited for.
	makingTimeoutFactor = 4
	// nameTakenTimeout is how long a name may be taken before that is believed not to be by the
	// very stream that is wanted.
	nameTakenTimeout = 2 * time.Second
)

// retryWhileMade repeats try for as long as its error says that what it looks for is only being
// made. A try gets little time at first: a stream without a leader does not answer, and does not
// answer later either what it was asked then.
func (b *Bus) retryWhileMade(ctx context.Context, try func(context.Context) error) error {
	began, missing := time.Now(), time.Time{}
	for bound := b.o.APITimeout / 8; ; bound = min(2*bound, b.o.APITimeout) {
		bounded, cancel := context.WithTimeout(ctx, bound)
		err := try(bounded)
		cancel()
		switch {
		case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || errors.Is(err, bus.ErrNoStream):
			if missing.IsZero() {
				missing = time.Now()
			}
			if time.Since(missing) >= nameTakenTimeout {
				return err
			}
			bound /= 2 // It was an answer.
		case isTransient(err):
			if missing = (time.Time{}); time.Since(began) >= makingTimeoutFactor*b.o.APITimeout {
				return err
			}
		default:
			return err
		}
		pause := 50*time.Millisecond + rand.N(100*time.Millisecond) //nolint:gosec // spreads load
		if backoff.Sleep(ctx, pause) != nil {
			return err
		}
	}
}

// withoutJetStream reports whether JetStream is off for the server or the account: waiting
// does not help.
func withoutJetStream(err error) bool {
	return errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
}

// isTransient reports whether an error is about something that is there and cannot be used yet.
func isTransient(err error) bool {
	if errors.Is(err, nats.ErrPermissionViolation) {
		return false
	}
	if e, ok := errors.AsType[*jetstream.APIError](err); ok {
		awaitsServer := e.ErrorCode == codeNoPeers && strings.Contains(e.Description, "offline") // which may be restarting
		return (e.Code == 503 && !withoutJetStream(err)) || errors.Is(err, jetstream.ErrStreamNotFound) || awaitsServer
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}
