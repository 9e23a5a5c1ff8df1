package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/ledger"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/outbox"
)

const (
	// maxMove bounds the events that are moved at once, and so their memory together with moveBytes
	// for each of them, which one document may exceed.
	maxMove   = 1000
	moveBytes = 8 << 10
	// lessMove divides what is moved at once when that took too long.
	lessMove = 8
)

// passage moves what waits in one collection.
type passage struct {
	mover *Mover
	from  *driver.Collection
	most  int // events in one step
	done  Moved
	stuck map[string]bool // ids of documents that keep their events
	skip  int             // they are the first ones that wait
	why   error           // the first of them is stuck
}

// load is what is moved out of one document: the first n events that wait there.
type load struct {
	id    bson.RawValue
	queue *ledger.Queue
	n     int
}

// run moves until nothing waits that can be moved. What a step has done stays done: a slow network
// makes the steps smaller, and does not begin again.
func (p *passage) run(ctx context.Context) error {
	for {
		more, err := p.step(ctx)
		switch {
		case err != nil && driver.IsTimeout(err) && ctx.Err() == nil && p.most > 1:
			p.most = max(1, p.most/lessMove)
		case err != nil || !more:
			return err
		}
	}
}

// step moves what one read of documents brings. More: there may be more.
func (p *passage) step(ctx context.Context) (more bool, err error) {
	loads, more, err := p.load(ctx)
	if err != nil || len(loads) == 0 {
		return more, err
	}
	for {
		var dead []*stored
		rows, err := p.rows(ctx, loads)
		if err == nil {
			dead, err = p.add(ctx, rows)
		}
		if no, is := errors.AsType[*refusal](err); is {
			loads = p.withoutRefused(loads, rows, no)
			continue
		}
		if err != nil {
			return false, err
		}
		p.tell(dead)
		return true, p.take(ctx, loads)
	}
}

// load reads documents in which events wait, behind those that are stuck. More: there were any.
func (p *passage) load(ctx context.Context) (loads []load, more bool, err error) {
	ctx, cancel := p.mover.queue.call(ctx)
	defer cancel()
	cur, err := p.from.Find(ctx, bson.D{expr.Field(ledger.Waits, true)}, options.Find().SetSort(expr.Op("_id", 1)).
		SetSkip(int64(p.skip)).SetLimit(int64(p.most)).SetBatchSize(int32(p.most)).
		SetProjection(bson.D{expr.Field(ledger.Events, 1), expr.Field(ledger.BaseAt, 1)}))
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for events, bytes := 0, 0; events < p.most && bytes < p.most*moveBytes && cur.Next(ctx); {
		more = true
		doc := append(bson.Raw(nil), cur.Current...)
		l := load{id: doc.Lookup("_id")}
		if l.queue, err = ledger.ParseQueue(doc.Lookup(ledger.Field)); err != nil {
			p.leave(l.id, err)
			continue
		}
		l.n = min(len(l.queue.Events), p.most-events)
		loads, events, bytes = append(loads, l), events+l.n, bytes+len(doc)
	}
	return loads, more, cur.Err()
}

// leave notes that a document keeps its events, for somebody to look at.
func (p *passage) leave(id bson.RawValue, why error) {
	p.skip++
	if p.stuck[id.String()] {
		return
	}
	if p.stuck[id.String()] = true; p.why == nil {
		p.why = fmt.Errorf("the document %v: %w", id, why)
	}
	p.done.Stuck++
}

// rows makes rows of events, each under the sequence that it has in its document. An event that
// waits twice is one; two events that would have one row are parked but for the first.
func (p *passage) rows(ctx context.Context, loads []load) ([]addition, error) {
	at, err := p.mover.queue.clock.Read(ctx)
	if err != nil {
		return nil, err
	}
	var rows []addition
	there := map[string]*stored{}
	for i := range loads {
		for n := range loads[i].n {
			s := newStored(&outbox.Row{Event: loads[i].queue.Events[n].Event, Seq: loads[i].queue.Seq(n)}, at)
			if before := there[s.RowID]; before != nil && !before.same(s) {
				s.park()
			}
			if there[s.RowID] != nil {
				continue
			}
			there[s.RowID] = s
			doc, err := s.document()
			rows = append(rows, addition{stored: s, doc: doc, of: i})
			if err != nil {
				return rows, &refusal{rows: []*stored{s}, why: err}
			}
		}
	}
	return rows, nil
}

// add adds the rows, and returns those that are dead.
func (p *passage) add(ctx context.Context, rows []addition) (dead []*stored, err error) {
	keys, keyed := make(map[string]bool, len(rows)), false
	for _, a := range rows {
		keyed = keyed || a.Key != "" && keys[a.Key]
		keys[a.Key] = true
	}
	err = p.mover.queue.insert(ctx, slices.Clone(rows), keyed, parked)
	for _, a := range rows {
		if a.Status == outbox.Dead.String() {
			dead = append(dead, a.stored)
		}
	}
	return dead, err
}

// withoutRefused leaves out the documents of rows that cannot be stored.
func (p *passage) withoutRefused(loads []load, rows []addition, no *refusal) []load {
	out := map[int]bool{}
	for _, a := range rows {
		if slices.Contains(no.rows, a.stored) && !out[a.of] {
			out[a.of] = true
			p.leave(loads[a.of].id, no)
		}
	}
	kept := make([]load, 0, len(loads))
	for i, l := range loads {
		if !out[i] {
			kept = append(kept, l)
		}
	}
	return kept
}

// take takes the events out of the documents. Where somebody else did, nothing matches.
func (p *passage) take(ctx context.Context, loads []load) error {
	if len(loads) == 0 {
		return nil
	}
	models := make([]driver.WriteModel, len(loads))
	n := 0
	for i, l := range loads {
		filter, update := l.queue.Taken(l.id, l.n)
		models[i] = driver.NewUpdateOneModel().SetFilter(filter).SetUpdate(update).SetHint(expr.ByID())
		n += l.n
	}
	ctx, cancel := p.mover.queue.call(ctx)
	defer cancel()
	_, turned, err := mongoserver.Write(ctx, p.from, models, false)
	if err == nil && len(turned) > 0 {
		err = turned[0].WriteError
	}
	if err != nil {
		return err
	}
	p.done.Events += n
	p.mover.o.Moved()
	return nil
}

// tell logs that rows are dead from the beginning.
func (p *passage) tell(dead []*stored) {
	if p.done.Dead += len(dead); len(dead) == 0 {
		return
	}
	p.mover.o.Logger.Error("outbox: events that waited in documents are dead rows until they are retried or dropped: another event has their topic, source and id",
		"collection", p.from.Database().Name()+"."+p.from.Name(), "rows", len(dead), "id", dead[0].ID, "topic", dead[0].Topic)
}
