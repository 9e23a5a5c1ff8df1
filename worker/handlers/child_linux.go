package handlers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker/internal/command"
)

// child is one life of the command. Its methods are safe for concurrent use.
type child struct {
	process *command.Process
	stream  *Stream
	alone   bool          // it is told of one event at a time
	wake    chan struct{} // there is something to write
	gone    chan struct{} // closed once it has ended and all it had in hand is settled

	mu       sync.Mutex
	number   uint64
	inHand   map[uint64]*delivery
	forsaken map[string]*delivery // of inHand, by key: read, perhaps, and nobody waits for the answer
	queue    []*delivery
	leaving  bool  // it is told of no more events
	retired  bool  // it was told to end, and has nothing to do with it
	hung     error // it was told to end because of how this ctx ended
	breach   error // it was told to end because of what it did
	answered bool
	written  int64 // of the writing goroutine; not guarded
}

// startChild starts the command. buried is called once it has ended, before gone is closed.
func startChild(s *Stream, alone bool, buried func(*child)) (*child, error) {
	p, err := s.runner.Start(s.line, s.env)
	if err != nil {
		return nil, err
	}
	c := &child{
		process: p, stream: s, alone: alone,
		wake: make(chan struct{}, 1), gone: make(chan struct{}), inHand: make(map[uint64]*delivery), forsaken: make(map[string]*delivery),
	}
	go c.live(buried)
	return c, nil
}

// live is the child's goroutine: lane waits for it.
func (c *child) live(buried func(*child)) {
	defer close(c.gone)
	var writing sync.WaitGroup
	writing.Go(c.write)
	c.listen()
	c.expectEnd(errors.New("it closed its standard output"))
	<-c.process.Ended()
	writing.Wait()
	c.settle()
	_ = c.process.Close() // of pipes
	buried(c)
}

// expectEnd gives a command that has closed one of its pipes the grace to end by itself.
func (c *child) expectEnd(otherwise error) {
	c.mu.Lock()
	c.leaving = true
	c.mu.Unlock()
	grace := time.NewTimer(c.stream.grace)
	defer grace.Stop()
	select {
	case <-c.process.Ended():
	case <-grace.C:
		c.end(otherwise)
	}
}

// end tells the command to end because of what it did.
func (c *child) end(breach error) {
	c.mu.Lock()
	c.leaving = true
	if c.breach == nil && c.hung == nil && !c.retired {
		c.breach = breach
	}
	c.mu.Unlock()
	c.process.Stop()
}

// retire ends the command in order: by the end of its input, SIGTERM after the grace, SIGKILL
// after another.
func (c *child) retire() {
	c.mu.Lock()
	if !c.leaving {
		c.leaving, c.retired = true, true
	}
	c.mu.Unlock()
	c.process.CloseInput()
	time.AfterFunc(c.stream.grace, c.process.Stop) // does nothing once it has ended
}

// open reports whether the child can be told of more events.
func (c *child) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.leaving
}

// run tells the child of the event and waits for how that ends. It is false when the child is
// told of no more.
func (c *child) run(ctx context.Context, key string, line []byte) (outcome, bool) {
	d, out := c.hand(key, line)
	if d == nil {
		return out, out.answer != nil
	}
	select {
	case c.wake <- struct{}{}:
	default: // it will look
	}
	select {
	case out := <-d.ended:
		return out, true
	case <-ctx.Done():
		return c.interrupted(d, context.Cause(ctx)), true
	}
}

// hand queues a delivery of the event. An event that an earlier run, which was cancelled, has left
// with the command is not handed over again: its answer is that run's, or already there. It is nil
// if there is an answer, or the child is told of no more events.
func (c *child) hand(key string, line []byte) (*delivery, outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream.finished.take(key) {
		c.stream.log.Info("the command has done the event in a run that was cancelled: not handed over again", "idempotency_key", key)
		return nil, outcome{fate: answered, answer: &answer{Status: statusDone}}
	}
	if d := c.forsaken[key]; d != nil {
		d.left = false
		delete(c.forsaken, key)
		return d, outcome{}
	}
	if c.leaving {
		return nil, outcome{}
	}
	c.number++
	d := &delivery{key: key, number: c.number, line: line, begins: unwritten, ended: make(chan outcome, 1)}
	c.inHand[d.number] = d
	c.queue = append(c.queue, d)
	return d, outcome{}
}

// interrupted waits for an answer that may be on its way, for the grace: after this process was
// frozen it often is. At the run limit there is nothing to wait for but the end of the child, which
// hangs.
func (c *child) interrupted(d *delivery, cause error) outcome {
	if !errors.Is(cause, consumer.ErrRunLimit) && c.told(d) {
		grace := time.NewTimer(c.stream.grace)
		defer grace.Stop()
		select {
		case out := <-d.ended:
			return out
		case <-grace.C:
		}
	}
	if c.forsake(d, cause) {
		return outcome{fate: forsaken, err: cause}
	}
	return <-d.ended
}

// told reports whether the command may have read of the delivery.
func (c *child) told(d *delivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return d.begins != unwritten
}

// forsake is false when there is, or will be, an end to wait for.
func (c *child) forsake(d *delivery, cause error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inHand[d.number] != d {
		return false
	}
	late := errors.Is(cause, consumer.ErrRunLimit)
	if late {
		d.late = true
	} else {
		d.left, d.line = true, nil
		if d.begins != unwritten {
			c.forsaken[d.key] = d
		}
	}
	if late || c.alone { // in a child of its own it disturbs nobody
		c.leaving = true
		if c.hung == nil {
			c.hung = cause
		}
		c.process.Stop()
	}
	return !late
}

// answer settles a delivery by what the command says. That one is done of which nobody waits for
// the answer any more is remembered for the event's next run.
func (c *child) answer(a *answer) {
	c.mu.Lock()
	d := c.inHand[a.Delivery]
	known := d != nil && d.begins != unwritten // else it guesses
	ignored := !known
	if known {
		c.answered = true
		delete(c.inHand, a.Delivery)
		d.ended <- outcome{fate: answered, answer: a}
		if d.left {
			delete(c.forsaken, d.key)
			if ignored = a.Status != statusDone; !ignored {
				c.stream.finished.add(d.key)
			}
		}
	}
	c.mu.Unlock()
	if known {
		c.stream.answered.Store(true)
	}
	if ignored {
		c.stream.strays.ignore(a)
	}
}
