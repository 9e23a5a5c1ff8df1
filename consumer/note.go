package consumer

import (
	"context"
	"fmt"

	"github.com/onceish/onceish/consumer/internal/seenmark"
	"github.com/onceish/onceish/dedupe"
)

// runNotes keeps notes with the claim of one run.
type runNotes struct {
	noter dedupe.Noter
	claim dedupe.Claim
	o     *Options
}

// noterOf returns what keeps notes: the store, in mode Claimed. In a transaction the row is locked.
func noterOf(store dedupe.Store, mode Mode, o *observers) dedupe.Noter {
	if noter, ok := store.(dedupe.Noter); ok && mode == Claimed {
		return o.observeNoter(noter)
	}
	return nil
}

// KeepNote keeps a short text with the claim of the run whose context this is, in place of an
// earlier one: later runs of the event find it in Attempt.Note, whatever process they are in. So a
// decision that is noted before it is acted upon is never made a second time. The text is UTF-8 of
// 1 to dedupe.MaxNote bytes. It is forgotten with the event's row, and when its dead letter is
// redriven.
//
// It blocks for a call of the store, which it does not retry; after an error the text may be kept
// all the same. ErrNoNotes is returned outside of a run, and where the store keeps no notes.
// dedupe.ErrSuperseded is wrapped where another process has the event by now.
func KeepNote(ctx context.Context, text string) error {
	k := AttemptFrom(ctx).notes
	if k == nil {
		return ErrNoNotes
	}
	ctx, cancel := context.WithTimeout(ctx, k.o.Lease)
	defer cancel()
	errs, err := k.noter.Note(ctx, []dedupe.Note{{Claim: k.claim, Text: text}}, k.o.Lease, k.o.TTL)
	if err == nil {
		err = seenmark.CheckParallel("Note", len(errs), 1)
	}
	if err == nil {
		err = errs[0]
	}
	if err != nil {
		return fmt.Errorf("keep a note with the claim: %w", err)
	}
	return nil
}

// KeepsNotes reports whether KeepNote can keep a note for the run whose context this is.
func KeepsNotes(ctx context.Context) bool { return AttemptFrom(ctx).notes != nil }
