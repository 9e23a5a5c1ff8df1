package mongodoc

import (
	"context"
	"errors"
	"fmt"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

// Update is what UpdateOnce answers: the document has the change.
type Update struct {
	// Before says that an earlier call for the same event and step made the change: an earlier run,
	// a copy of the event, or this call, whose first answer was lost. This one changed nothing.
	Before bool
	// Inserted says that this call inserted the document.
	Inserted bool
}

// UpdateOnce changes one document of coll once for each event, however often it is called: the
// change, the mark that it was made, and the events that it brings about are one write to the
// document. No transaction is needed, and no claim: frozen runs, copies that run at the same time
// and repeats after a crash find the mark, and change nothing. ctx is that of the handler, unless
// UpdateOptions.Key says which event this is for.
//
// The filter pins the document by equality at its top level: by _id, or by all fields of a unique
// index. It may ask for more besides. The update has operators ($set, $inc, $push …) or is a
// pipeline of $set, $addFields and $unset; it may be an empty document, for the mark and the events
// alone. It may change neither the reserved field, _onceish, nor what the filter pins.
//
// A run that changes a document twice needs UpdateOptions.Step, and is refused with ErrStep
// otherwise, however the filters name the document. When no document is as the filter asks, and the
// change was not made before, the error is ErrNoMatch. At the bound of the marks it is ErrRingFull.
// After any other error it is not known whether the change was made; the call may be repeated.
//
// The mark lives in the document, and so do the events of UpdateOptions.Publish until they are
// moved: whoever deletes or replaces the document, or the reserved field, forgets the mark and
// drops the events that wait there. What the store keeps its concerns for holds here too: the write
// has Options.WriteConcern, and a change is only said to be made before if a majority has it. It is
// one round trip, two where the change was made before (three where the run has changed other
// documents of the collection), and a few more when marks are pruned, each 100 changes or more. The
// first change that publishes makes an index in its collection, which on a large one takes as long
// as ctx allows: make it beforehand. A transaction in ctx is refused.
func (u *Updater) UpdateOnce(ctx context.Context, coll *driver.Collection, filter, update any, o *UpdateOptions) (Update, error) {
	if coll == nil {
		return Update{}, errors.New("mongodoc: update once: the collection is nil")
	}
	in := namespaceOf(coll)
	c, err := u.newUpdateOp(ctx, coll, filter, update, o)
	if err != nil {
		return Update{}, fmt.Errorf("mongodoc: update once in %v: %w", in, err)
	}
	out, err := c.makeInRun(ctx)
	if err != nil {
		return Update{}, fmt.Errorf("mongodoc: update once in %v: %w", in, err)
	}
	return out, nil
}
