package mongodoc

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
)

// pruneRun is the marks of a document as they are looked through. They are read as a majority has
// them, and written back only if no change was made since: nothing that was read can be lost to a
// failover, and no mark made in the meantime is overwritten.
type pruneRun struct {
	op      *updateOp
	seq     int64
	since   int64
	now     int64
	entries []ledger.Entry
}

// pruneMarks lets marks go that no repeat of their events can need, and makes room for more. Nil:
// changes can be tried again.
func (c *updateOp) pruneMarks(ctx context.Context) error {
	p, err := c.readMarks(ctx)
	if err != nil {
		return err
	}
	if p == nil || p.since < int64(c.o.pruneInterval()) {
		return errLostRace // somebody else has pruned, or a majority has not seen yet what is to be pruned
	}
	kept, changed, err := p.selectKept(ctx)
	if err != nil {
		return err
	}
	room := min(c.o.pruneInterval()+len(kept)/4, c.o.MaxApplied-len(kept))
	if changed || room > 0 {
		if err := p.writeKept(ctx, kept, c.o.pruneInterval()-room); err != nil {
			return err
		}
	}
	if room <= 0 {
		return ringFullError(kept, c.o.MaxApplied, c.updater.grace)
	}
	return nil
}

// readMarks are all of the document; nil if it has none.
func (c *updateOp) readMarks(ctx context.Context) (*pruneRun, error) {
	doc, err := c.readFields(ctx, c.majorityView(),
		expr.Field("now", expr.Now), expr.Field("seq", "$"+ledger.Seq), expr.Field("since", "$"+ledger.Since), expr.Field("applied", "$"+ledger.Applied))
	if err != nil || doc == nil {
		return nil, err
	}
	p := &pruneRun{op: c}
	p.seq, _ = doc.Lookup("seq").AsInt64OK()
	p.since, _ = doc.Lookup("since").AsInt64OK()
	p.now, _ = doc.Lookup("now").DateTimeOK()
	p.entries, err = ledger.ParseEntries(doc.Lookup("applied"))
	return p, err
}

// selectKept returns the marks that stay, and notes which events are done by now. A mark goes an
// hour after its event was seen done: no run starts once it is, and frozen ones had that hour. It
// goes when its TTL is over, unless the dedupe row is there and not done: that event may run again.
func (p *pruneRun) selectKept(ctx context.Context) (kept []ledger.Entry, changed bool, err error) {
	phases, err := p.openPhases(ctx)
	if err != nil {
		return nil, false, err
	}
	grace := p.op.updater.grace.Milliseconds()
	kept = make([]ledger.Entry, 0, len(p.entries))
	for _, e := range p.entries {
		phase, there := phases[e.ID]
		switch {
		case e.Done != 0 && e.Done+grace <= p.now, e.Until <= p.now && (!there || phase == dedupe.PhaseDone):
			changed = true
			continue
		case e.Done == 0 && phase == dedupe.PhaseDone:
			e.Done, changed = p.now, true
		}
		kept = append(kept, e)
	}
	return kept, changed, nil
}

// openPhases are those of the events that were not seen done yet.
func (p *pruneRun) openPhases(ctx context.Context) (map[string]dedupe.Phase, error) {
	var ids []string
	for _, e := range p.entries {
		if e.Done == 0 && e.ID != "" {
			ids = append(ids, e.ID)
		}
	}
	return p.op.updater.store.Phases(ctx, ids)
}

// writeKept is conditional on what was read: a change that was made since makes it miss.
func (p *pruneRun) writeKept(ctx context.Context, kept []ledger.Entry, since int) error {
	marks := make(bson.A, len(kept))
	for i := range kept {
		marks[i] = kept[i].Document()
	}
	filter := slices.Concat(p.op.target.uniqueFilter, bson.D{expr.Field(ledger.Seq, p.seq), expr.Field(ledger.Since, p.since)})
	res, err := p.op.own.UpdateOne(ctx, filter, expr.Set(expr.Field(ledger.Applied, marks), expr.Field(ledger.Since, int64(since))))
	if err == nil && res.MatchedCount == 0 {
		err = errLostRace
	}
	return err
}

func ringFullError(kept []ledger.Entry, most int, grace time.Duration) error {
	open := 0
	for _, e := range kept {
		if e.Done == 0 {
			open++
		}
	}
	return fmt.Errorf("%w: it has %d of at most %d; %d are of events that are not done yet, or whose dedupe rows are in another store, and go when their TTL is over; "+
		"the others go %v after they were seen done. Spread the changes over several documents, raise UpdateOptions.MaxApplied, or change the document in a transaction",
		ErrRingFull, len(kept), most, open, grace)
}
