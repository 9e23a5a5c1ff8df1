package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

var _ bus.Deleter = (*Bus)(nil)

// deleteRequest deletes the message under a sequence, whose bytes may stay on the disk for a while.
type deleteRequest struct {
	Sequence uint64 `json:"seq"`
	NoErase  bool   `json:"no_erase"`
}

// DeleteEvent implements bus.Deleter. It looks at the event as Find does, and deletes it with a
// second request, which takes the permission to publish to $JS.API.STREAM.MSG.DELETE.<stream>. With
// Options.BindOnly it is errors.ErrUnsupported.
func (b *Bus) DeleteEvent(ctx context.Context, at bus.Position) error {
	name := streamNameOf(at)
	m, err := b.readStoredMessage(ctx, at)
	switch {
	case err != nil || m == nil:
		return err
	case !m.Time.Equal(at.Stored):
		return fmt.Errorf("jetstream: %w: sequence %d of stream %q has another event, which was stored at %v", bus.ErrStreamReplaced, at.Sequence, name, m.Time)
	}
	ctx, cancel := b.withOptionalTimeout(ctx)
	defer cancel()
	doing := fmt.Sprintf("delete sequence %d of stream %q", at.Sequence, name)
	body, err := json.Marshal(deleteRequest{Sequence: at.Sequence, NoErase: true})
	if err != nil {
		return fmt.Errorf("jetstream: %s: %w", doing, err)
	}
	answer, err := b.nc.RequestWithContext(ctx, b.api+"STREAM.MSG.DELETE."+name, body)
	if err != nil {
		err = b.wrapRequestError(doing, err)
		if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "STREAM.MSG.DELETE."+name) {
			err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
		return err
	}
	return b.readDeleted(ctx, doing, answer.Data, at)
}

// readDeleted reads the answer to a request to delete.
func (b *Bus) readDeleted(ctx context.Context, doing string, data []byte, at bus.Position) error {
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Success bool                `json:"success"`
	}
	err := json.Unmarshal(data, &answer)
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
