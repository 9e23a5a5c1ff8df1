package mongodoc

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
)

// pruning is the marks of a document as they are looked through. They are read as a majority has
// them, and written back only if no change was made since: nothing that was read can be lost to a
// failover, and no mark made in the meantime is overwritten.
type pruning struct {
	once    *once
	seq     int64
	since   int64
	now     int64
	entries []ledger.Entry
}

// prune lets marks go that no repeat of their events can need, and makes room for more. Nil:
// changes can be tried again.
func (c *once) prune(ctx context.Context) error {
	p, err := c.readMarks(ctx)
	if err != nil {
		return err
	}
	if p == nil || p.since < int64(c.o.room()) {
		return errLostRace // somebody else has pruned, or a majority has not seen yet what is to be pruned
	}
	kept, changed, err := p.sift(ctx)
	if err != nil {
		return err
	}
	room := min(c.o.room()+len(kept)/4, c.o.MaxApplied-len(kept))
	if changed || room > 0 {
		if err := p.write(ctx, kept, c.o.room()-room); err != nil {
			return err
		}
	}
	if room <= 0 {
		return full(kept, c.o.MaxApplied, c.updater.grace)
	}
	return nil
}

// readMarks are all of the document; nil if it has none.
func (c *once) readMarks(ctx context.Context) (*pruning, error) {
	cur, err := c.acked().Aggregate(ctx, bson.A{
		bson.D{expr.Field("$match", c.target.pin)},
		bson.D{expr.Field("$project", bson.D{
			expr.Field("_id", 0), expr.Field("now", expr.Now), expr.Field("seq", "$"+ledger.Seq), expr.Field("since", "$"+ledger.Since), expr.Field("applied", "$"+ledger.Applied),
		})},
	}, options.Aggregate().SetBatchSize(2))
	if err != nil {
		return nil, err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	if !cur.Next(ctx) {
		return nil, cur.Err()
	}
	p := &pruning{once: c}
	p.seq, _ = cur.Current.Lookup("seq").AsInt64OK()
	p.since, _ = cur.Current.Lookup("since").AsInt64OK()
	p.now, _ = cur.Current.Lookup("now").DateTimeOK()
	p.entries, err = ledger.ParseEntries(cur.Current.Lookup("applied"))
	return p, err
}

// sift tells which marks stay, and notes which events are done by now. A mark goes an hour after
// its event was seen done: no run starts once it is, and frozen ones had that hour. It goes when
// its TTL is over, unless the dedupe row is there and not done: that event may run again.
func (p *pruning) sift(ctx context.Context) (kept []ledger.Entry, changed bool, err error) {
	phases, err := p.phases(ctx)
	if err != nil {
		return nil, false, err
	}
	grace := p.once.updater.grace.Milliseconds()
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

// phases are those of the events that were not seen done yet.
func (p *pruning) phases(ctx context.Context) (map[string]dedupe.Phase, error) {
	var ids []string
	for _, e := range p.entries {
		if e.Done == 0 && e.ID != "" {
			ids = append(ids, e.ID)
		}
	}
	return p.once.updater.store.Phases(ctx, ids)
}

// write is conditional on what was read: a change that was made since makes it miss.
func (p *pruning) write(ctx context.Context, kept []ledger.Entry, since int) error {
	marks := make(bson.A, len(kept))
	for i := range kept {
		marks[i] = kept[i].Document()
	}
	filter := slices.Concat(p.once.target.pin, bson.D{expr.Field(ledger.Seq, p.seq), expr.Field(ledger.Since, p.since)})
	res, err := p.once.own.UpdateOne(ctx, filter, expr.Set(expr.Field(ledger.Applied, marks), expr.Field(ledger.Since, int64(since))))
	if err == nil && res.MatchedCount == 0 {
		err = errLostRace
	}
	return err
}

// full says why no mark can go yet.
func full(kept []ledger.Entry, most int, grace time.Duration) error {
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
