package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// look is how often the journal is read.
const look = 2 * time.Millisecond

// stage is where the workers are watched. It is for one goroutine.
type stage struct {
	plan     *plan
	crew     *crew
	producer *producer
	reader   *reader
	book     *book
	cursor   *cursor
	show     *show
	// documents have the effects; nil: the journal has.
	documents *documents
	random    *rand.Rand // chooses who is killed
	patience  time.Duration

	released int       // portions
	moved    time.Time // when the journal grew
}

// run plays until everything is settled.
func (t *stage) run(ctx context.Context) (Result, error) {
	begun := time.Now()
	t.moved = begun
	t.release()
	err := t.watch(ctx)
	took := time.Since(begun)
	if err != nil && !errors.Is(err, ErrStalled) {
		return Result{}, err
	}
	if err == nil {
		err = t.crew.finish(ctx)
	}
	t.crew.kill() // those that have stalled
	stored := t.producer.stop()
	_, read := t.read()
	_, asked := t.cursor.read(ctx)
	r := newResult(t.plan, t.book, t.crew.kills, stored, t.cursor.delivered, took)
	counted := t.count(ctx, &r)
	return r, errors.Join(err, read, asked, counted)
}

// count has the documents tell what the effects are, if there are any.
func (t *stage) count(ctx context.Context, r *Result) error {
	if t.documents == nil {
		return nil
	}
	effects, err := t.documents.effects(ctx)
	if err == nil {
		r.recount(t.plan.ids, effects)
	}
	return err
}

// release has the next portion published.
func (t *stage) release() {
	t.producer.add(t.plan.portions[t.released].messages)
	t.released++
}

func (t *stage) watch(ctx context.Context) error {
	again := time.NewTicker(look)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		settled, err := t.step(ctx)
		if err != nil || settled {
			return err
		}
	}
}

// step looks at everything once, and kills whose time has come.
func (t *stage) step(ctx context.Context) (settled bool, err error) {
	if err := errors.Join(t.producer.check(), t.crew.check()); err != nil {
		return false, err
	}
	stored, idle := t.producer.idle()
	idle = idle && t.cursor.empty(ctx, stored)
	working, err := t.read() // after the cursor: what is settled is in the journal
	if err != nil {
		return false, err
	}
	last := t.released == len(t.plan.portions)
	due := !last && t.book.done >= t.plan.portions[t.released-1].kill
	switch victims := t.crew.at(working); {
	case due && len(victims) > 0:
		return false, t.strike(victims)
	case idle && !last: // it came to the end before anybody looked
		return false, t.strike(t.crew.processes)
	case idle:
		return true, nil
	case time.Since(t.moved) > t.patience:
		return false, t.stalled()
	}
	return false, nil
}

// read returns which processes have made effects since the last time.
func (t *stage) read() (working map[int]bool, err error) {
	rs, err := t.reader.next()
	if len(rs) > 0 {
		t.moved = time.Now()
	}
	t.book.add(rs)
	t.show.progress(t.book.done)
	working = make(map[int]bool)
	for _, r := range rs {
		if r.what == effect || r.what == found {
			working[r.pid] = true
		}
	}
	return working, err
}

// strike kills one of the processes and replaces it, with more work for all.
func (t *stage) strike(victims []*process) error {
	t.release()
	victim := victims[t.random.IntN(len(victims))]
	successor, err := t.crew.replace(victim)
	if err != nil {
		return err
	}
	t.show.say("killed worker process %d after %s effects of all; %d takes its place", victim.pid(), grouped(t.book.effects), successor.pid())
	return nil
}

func (t *stage) stalled() error {
	missing := ""
	if names := t.book.missing(t.plan.ids, 10); len(names) > 0 {
		missing = fmt.Sprintf(": %d of %d events have no effect, such as %s", len(t.plan.ids)-t.book.done, len(t.plan.ids), strings.Join(names, ", "))
	}
	return fmt.Errorf("%w: nothing has happened for %v; %s%s", ErrStalled, t.patience, t.cursor, missing)
}
