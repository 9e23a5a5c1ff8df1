package mongodoc

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

const (
	// maxMove bounds the events that are moved at once, and so their memory together with moveBytes
	// for each of them, which one document may exceed.
	maxMove   = 1000
	moveBytes = 8 << 10
	// lessMove divides what is moved at once when that took too long.
	lessMove = 8
)

type moveRun struct {
	mover *Mover
	from  *driver.Collection
	most  int // events in one step
	done  Moved
	stuck map[string]bool // ids of documents that keep their events
	skip  int             // they are the first ones that wait
	why   error           // the first of them is stuck
}

// documentLoad is what is moved out of one document: the first n events that wait there.
type documentLoad struct {
	id    bson.RawValue
	queue *ledger.Queue
	n     int
}

// moveAll moves until nothing waits that can be moved. What a step has done stays done: a slow
// network makes the steps smaller, and does not begin again.
func (p *moveRun) moveAll(ctx context.Context) error {
	for {
		more, err := p.moveStep(ctx)
		switch {
		case err != nil && driver.IsTimeout(err) && ctx.Err() == nil && p.most > 1:
			p.most = max(1, p.most/lessMove)
		case err != nil || !more:
			return err
		}
	}
}

// moveStep moves the events of the documents that one read returns. more reports whether
// there may be more.
func (p *moveRun) moveStep(ctx context.Context) (more bool, err error) {
	loads, more, err := p.readLoads(ctx)
	if err != nil || len(loads) == 0 {
		return more, err
	}
	for {
		rows, of := p.loadRows(loads)
		dead, err := p.mover.queue.AddMoved(ctx, rows)
		if no, is := errors.AsType[*mongooutbox.RefusedError](err); is {
			loads = p.withoutRefused(loads, of, no)
			continue
		}
		if err != nil {
			return false, err
		}
		p.logDead(rows, dead)
		return true, p.takeOut(ctx, loads)
	}
}

// readLoads reads documents in which events wait, behind those that are stuck. More:
// there were any.
func (p *moveRun) readLoads(ctx context.Context) (loads []documentLoad, more bool, err error) {
	ctx, cancel := p.mover.boundCall(ctx)
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
		l := documentLoad{id: doc.Lookup("_id")}
		if l.queue, err = ledger.ParseQueue(doc.Lookup(ledger.Field)); err != nil {
			p.skipStuck(l.id, err)
			continue
		}
		l.n = min(len(l.queue.Events), p.most-events)
		loads, events, bytes = append(loads, l), events+l.n, bytes+len(doc)
	}
	return loads, more, cur.Err()
}

// skipStuck notes that a document keeps its events, for somebody to look at.
func (p *moveRun) skipStuck(id bson.RawValue, why error) {
	p.skip++
	if p.stuck[id.String()] {
		return
	}
	if p.stuck[id.String()] = true; p.why == nil {
		p.why = fmt.Errorf("the document %v: %w", id, why)
	}
	p.done.Stuck++
}

// loadRows makes rows of events, each under the sequence that it has in its document, and says
// which load each is of.
func (p *moveRun) loadRows(loads []documentLoad) (rows []outbox.Row, of []int) {
	for i := range loads {
		for n := range loads[i].n {
			rows, of = append(rows, outbox.Row{Event: loads[i].queue.Events[n].Event, Seq: loads[i].queue.Seq(n)}), append(of, i)
		}
	}
	return rows, of
}

// withoutRefused leaves out the documents of rows that cannot be stored.
func (p *moveRun) withoutRefused(loads []documentLoad, of []int, no *mongooutbox.RefusedError) []documentLoad {
	out := map[int]bool{}
	for _, row := range no.Rows {
		if i := of[row]; !out[i] {
			out[i] = true
			p.skipStuck(loads[i].id, no.Err)
		}
	}
	kept := make([]documentLoad, 0, len(loads))
	for i, l := range loads {
		if !out[i] {
			kept = append(kept, l)
		}
	}
	return kept
}

// takeOut takes the events out of the documents. Where somebody else did, nothing matches.
func (p *moveRun) takeOut(ctx context.Context, loads []documentLoad) error {
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
	ctx, cancel := p.mover.boundCall(ctx)
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

// logDead logs that rows are dead from the beginning.
func (p *moveRun) logDead(rows []outbox.Row, dead []int) {
	if p.done.Dead += len(dead); len(dead) == 0 {
		return
	}
	e := &rows[dead[0]].Event
	p.mover.o.Logger.Error("outbox: events that waited in documents are dead rows until they are retried or dropped: another event has their topic, source and id",
		"collection", p.from.Database().Name()+"."+p.from.Name(), "rows", len(dead), "id", e.ID, "topic", e.Topic)
}
