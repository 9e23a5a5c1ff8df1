package projector

import (
	"errors"
	"fmt"
)

var (
	// ErrRebuild is returned by Prepare when documents of the collection were made without a unique
	// constraint that the projection has now: nobody knows which of them has a value by right. A
	// Rebuild makes them again.
	ErrRebuild = errors.New("the documents were made without this constraint: rebuild the projection")
	// ErrNoRebuild is returned by Rebuild.Diff and Rebuild.Swap when no rebuild was begun, or
	// another process has dropped it.
	ErrNoRebuild = errors.New("no rebuild of this collection is under way")
	// ErrIncomplete is returned by Rebuild.Fill when the stream does not have its first events any
	// more: what they made would be missing.
	ErrIncomplete = errors.New("the stream does not have its first events any more")
)

// TakenError is why an event is dead-lettered by DeadLetter.
type TakenError struct {
	// Field is the unique field, Key that of the document that the event is about, and Owner the
	// key of the one that has the value.
	Field, Key, Owner string
}

// Error names the field and both documents. It does not have the value.
func (e *TakenError) Error() string {
	return fmt.Sprintf("the value of the unique field %q belongs to the document %.128q: %.128q was stored without it", e.Field, e.Owner, e.Key)
}
