package jetstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/natsrequest"
)

var _ bus.Deleter = (*Bus)(nil)

// deletesAtOnce is how many requests to delete are sent before the first is answered. The server
// drops requests when thousands of them wait.
const deletesAtOnce = 256

// deleteRequest deletes the message under a sequence, whose bytes may stay on the disk for a while.
type deleteRequest struct {
	Sequence uint64 `json:"seq"`
	NoErase  bool   `json:"no_erase"`
}

// DeleteEvents implements bus.Deleter. Of the positions of a stream it looks at the last one as
// Find does, or at the last ones until one still has its event, and deletes that and all before it
// with a request each, which takes the permission to publish to
// $JS.API.STREAM.MSG.DELETE.<stream>. With Options.BindOnly it is errors.ErrUnsupported.
func (b *Bus) DeleteEvents(ctx context.Context, at []bus.Position) []error {
	errs := make([]error, len(at))
	byStream := make(map[string][]int)
	for i := range at {
		byStream[at[i].Stream] = append(byStream[at[i].Stream], i)
	}
	for _, lastFirst := range byStream {
		slices.SortFunc(lastFirst, func(i, j int) int { return cmp.Compare(at[j].Sequence, at[i].Sequence) })
		for chunk := range slices.Chunk(b.dropReplaced(ctx, at, errs, lastFirst), deletesAtOnce) {
			b.deleteMessages(ctx, at, errs, chunk)
		}
	}
	return errs
}

// dropReplaced leaves out the positions at the end of a stream that do not have their events any
// more. It looks at twice as many of them each time.
func (b *Bus) dropReplaced(ctx context.Context, at []bus.Position, errs []error, lastFirst []int) []int {
	for n := 1; len(lastFirst) > 0; n *= 2 {
		looked := lastFirst[:min(n, len(lastFirst))]
		positions := make([]bus.Position, len(looked))
		for i := range looked {
			positions[i] = at[looked[i]]
		}
		stored, err := b.Find(ctx, positions)
		if err != nil {
			for _, i := range lastFirst {
				errs[i] = err
			}
			return nil
		}
		for i, p := range positions {
			switch {
			case stored[i].Equal(p.Stored):
				return lastFirst[i:]
			case !stored[i].IsZero():
				errs[looked[i]] = fmt.Errorf("jetstream: %w: sequence %d of stream %q has another event, which was stored at %v",
					bus.ErrStreamReplaced, p.Sequence, streamNameOf(p), stored[i])
			}
		}
		lastFirst = lastFirst[len(looked):]
	}
	return nil
}

// deleteMessages deletes what lies at the positions of these indexes, which are of one stream.
func (b *Bus) deleteMessages(ctx context.Context, at []bus.Position, errs []error, indexes []int) {
	batch, err := b.confirmations.Open(len(indexes), b.o.APITimeout)
	if err == nil {
		defer batch.Close()
		err = b.sendDeletes(ctx, batch, at, indexes)
	}
	for n, i := range indexes {
		doing := fmt.Sprintf("delete sequence %d of stream %q", at[i].Sequence, streamNameOf(at[i]))
		if batch != nil {
			if answer, _ := batch.Answer(n); answer != nil {
				errs[i] = b.readDeleted(ctx, doing, answer, at[i])
				continue
			}
		}
		errs[i] = b.deletingEnded(doing, streamNameOf(at[i]), err)
	}
}

func (b *Bus) sendDeletes(ctx context.Context, batch *natsrequest.Batch, at []bus.Position, indexes []int) error {
	for n, i := range indexes {
		body, err := json.Marshal(deleteRequest{Sequence: at[i].Sequence, NoErase: true})
		if err != nil {
			return err
		}
		if err := batch.Reserve(ctx); err != nil {
			return err
		}
		if err := batch.Send(n, &nats.Msg{Subject: b.api + "STREAM.MSG.DELETE." + streamNameOf(at[i]), Data: body}); err != nil {
			return err
		}
	}
	return batch.Wait(ctx)
}

// deletingEnded is why a request to delete was not answered.
func (b *Bus) deletingEnded(doing, stream string, err error) error {
	if errors.Is(err, natsrequest.ErrSilent) {
		err = nats.ErrTimeout
	} else {
		err = b.publishingEnded(err)
	}
	err = b.wrapRequestError(doing, err)
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "STREAM.MSG.DELETE."+stream) {
		err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// readDeleted reads the answer to a request to delete.
func (b *Bus) readDeleted(ctx context.Context, doing string, m *nats.Msg, at bus.Position) error {
	if m.Header.Get("Status") == "503" {
		return b.wrapRequestError(doing, nats.ErrNoResponders)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Success bool                `json:"success"`
	}
	err := json.Unmarshal(m.Data, &answer)
	switch {
	case err != nil:
		return fmt.Errorf("jetstream: %s: the answer cannot be read: %w", doing, err)
	case answer.Success:
		return nil
	case answer.Error == nil:
		return fmt.Errorf("jetstream: %s: the answer says neither that it succeeded nor why not: %w", doing, jetstream.ErrInvalidJetStreamResponse)
	case answer.Error.ErrorCode == codeSealed || strings.Contains(answer.Error.Description, "not permitted"):
		return fmt.Errorf("jetstream: %s: the stream is sealed, or denies it (deny_delete): %w: %w", doing, errors.ErrUnsupported, answer.Error)
	}
	if m, err := b.readStoredMessage(ctx, at); err == nil && (m == nil || !m.Time.Equal(at.Stored)) {
		return nil // Somebody else has deleted it meanwhile.
	}
	return b.wrapRequestError(doing, answer.Error)
}
