package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/ledger"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/outbox"
)

const (
	// maxMove bounds the events that are moved at once, and so their memory together with maxMoveBytes, which one document may exceed.
	maxMove      = 1000
	maxMoveBytes = 8 << 20
	// maxStuck is how many documents of a collection a pass leaves behind, before it gives the collection up.
	maxStuck = 1000
)

// Move takes what waits now, and tells how many events it moved. An error tells what could not be moved; everything else was. It may be repeated.
func (m *Mover) Move(ctx context.Context) (int, error) {
	var errs []error
	moved := 0
	for _, db := range m.o.Databases {
		names, err := m.registered(ctx, db)
		if err != nil {
			errs = append(errs, fmt.Errorf("outbox/mongo: reading %s.%s: %w", db.Name(), ledger.Registry, err))
		}
		for _, name := range names {
			p := &passage{
				mover: m, stuck: bson.A{},
				from: mongoserver.Own(db.Collection(name), readconcern.Majority(), writeconcern.Majority()),
			}
			if err := p.run(ctx); err != nil {
				errs = append(errs, fmt.Errorf("outbox/mongo: moving events out of %s.%s: %w", db.Name(), name, err))
			}
			moved += p.moved
		}
	}
	return moved, errors.Join(errs...)
}

// registered are the collections of a database in which events may wait.
func (m *Mover) registered(ctx context.Context, db *driver.Database) ([]string, error) {
	ctx, cancel := m.queue.call(ctx)
	defer cancel()
	cur, err := mongoserver.Own(db.Collection(ledger.Registry), readconcern.Majority(), writeconcern.Majority()).Find(ctx, bson.D{})
	if err != nil {
		return nil, err
	}
	var all []struct {
		ID string `bson:"_id"`
	}
	if err := cur.All(ctx, &all); err != nil {
		return nil, err
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].ID
	}
	return names, nil
}

// passage moves what waits in one collection.
type passage struct {
	mover *Mover
	from  *driver.Collection
	moved int
	stuck bson.A // ids of documents whose events the outbox does not take
	errs  []error
}

func (p *passage) run(ctx context.Context) error {
	for more := true; more && len(p.stuck) < maxStuck; {
		var err error
		if more, err = p.step(ctx); err != nil {
			return errors.Join(append(p.errs, err)...)
		}
	}
	return errors.Join(p.errs...)
}

// step moves what one load has. More: there may be more.
func (p *passage) step(ctx context.Context) (more bool, err error) {
	ctx, cancel := p.mover.queue.call(ctx)
	defer cancel()
	loads, err := p.load(ctx)
	if err != nil || len(loads) == 0 {
		return false, err
	}
	if err := p.add(ctx, loads...); refused(err) { // some event of some document
		kept := loads[:0]
		for _, l := range loads {
			switch err := p.add(ctx, l); {
			case refused(err):
				p.leave(l.id, err)
			case err != nil:
				return false, err
			default:
				kept = append(kept, l)
			}
		}
		loads = kept
	} else if err != nil {
		return false, err
	}
	return true, p.take(ctx, loads)
}

// refused tells whether the outbox will not take an event, however often it is asked.
func refused(err error) bool {
	return errors.Is(err, outbox.ErrExists) || errors.Is(err, bus.ErrInvalidEvent) || errors.Is(err, bus.ErrTooLarge)
}

// leave notes that a document's events stay where they are, for somebody to look at.
func (p *passage) leave(id bson.RawValue, why error) {
	p.stuck = append(p.stuck, id)
	p.errs = append(p.errs, fmt.Errorf("the document %v: its events stay in %s: %w", id, ledger.Events, why))
}

// load is what is moved out of one document: the first n events that wait there.
type load struct {
	id    bson.RawValue
	queue *ledger.Queue
	n     int
}

// load reads documents in which events wait.
func (p *passage) load(ctx context.Context) ([]load, error) {
	filter := bson.D{field(ledger.Waits, true)}
	if len(p.stuck) > 0 {
		filter = append(filter, field("_id", op("$nin", p.stuck)))
	}
	cur, err := p.from.Find(ctx, filter, options.Find().SetLimit(maxMove).
		SetProjection(bson.D{field(ledger.Events, 1), field(ledger.BaseAt, 1)}))
	if err != nil {
		return nil, err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	var loads []load
	for events, bytes := 0, 0; events < maxMove && bytes < maxMoveBytes && cur.Next(ctx); {
		doc := append(bson.Raw(nil), cur.Current...)
		l := load{id: doc.Lookup("_id")}
		if l.queue, err = ledger.ParseQueue(doc.Lookup(ledger.Field)); err != nil {
			p.leave(l.id, err)
			continue
		}
		l.n = min(len(l.queue.Events), maxMove-events)
		loads, events, bytes = append(loads, l), events+l.n, bytes+len(doc)
	}
	return loads, cur.Err()
}

// add adds the events to the outbox, each under the sequence that it has in its document.
func (p *passage) add(ctx context.Context, loads ...load) error {
	var rows []outbox.Row
	for _, l := range loads {
		for i := range l.n {
			rows = append(rows, outbox.Row{Event: l.queue.Events[i].Event, Seq: l.queue.Seq(i)})
		}
	}
	_, err := p.mover.queue.AddRowsAlone(ctx, rows...)
	return err
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
		models[i] = driver.NewUpdateOneModel().SetFilter(filter).SetUpdate(update).SetHint(byID)
		n += l.n
	}
	_, turned, err := mongoserver.Write(ctx, p.from, models, false)
	if err == nil && len(turned) > 0 {
		err = turned[0].WriteError
	}
	if err != nil {
		return err
	}
	p.moved += n
	p.mover.o.Moved()
	return nil
}
