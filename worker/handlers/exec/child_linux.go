package exec

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker/internal/command"
)

// childProcess is one life of the command. Its methods are safe for concurrent use.
type childProcess struct {
	process *command.Process
	stream  *Stream
	alone   bool          // it is told of one event at a time
	wake    chan struct{} // there is something to write
	gone    chan struct{} // closed once it has ended and all its deliveries are settled

	mu          sync.Mutex
	number      uint64
	inFlight    map[uint64]*streamDelivery
	abandoned   map[string]*streamDelivery // of inFlight, by key: read, perhaps, and nobody waits for the answer
	queue       []*streamDelivery
	leaving     bool  // it is told of no more events
	retired     bool  // it was told to end, and has nothing to do with it
	hungCause   error // it was told to end because of how this ctx ended
	breachCause error // it was told to end because of what it did
	answered    bool
	written     int64 // of the writing goroutine; not guarded
}

// startChild starts the command. onEnd is called once it has ended, before gone is closed.
func startChild(s *Stream, alone bool, onEnd func(*childProcess)) (*childProcess, error) {
	p, err := s.runner.Start(s.line, s.env)
	if err != nil {
		return nil, err
	}
	c := &childProcess{
		process: p, stream: s, alone: alone,
		wake: make(chan struct{}, 1), gone: make(chan struct{}), inFlight: make(map[uint64]*streamDelivery), abandoned: make(map[string]*streamDelivery),
	}
	go c.superviseChild(onEnd)
	return c, nil
}

// superviseChild is the child's goroutine. It closes gone at its end.
func (c *childProcess) superviseChild(onEnd func(*childProcess)) {
	defer close(c.gone)
	var writing sync.WaitGroup
	writing.Go(c.writeEvents)
	c.readAnswers()
	c.expectEnd(errors.New("it closed its standard output"))
	<-c.process.Ended()
	writing.Wait()
	c.settleAll()
	_ = c.process.Close() // of pipes
	onEnd(c)
}

// expectEnd gives a command that has closed one of its pipes the grace to end by itself.
func (c *childProcess) expectEnd(otherwise error) {
	c.mu.Lock()
	c.leaving = true
	c.mu.Unlock()
	grace := time.NewTimer(c.stream.grace)
	defer grace.Stop()
	select {
	case <-c.process.Ended():
	case <-grace.C:
		c.endForBreach(otherwise)
	}
}

// endForBreach tells the command to end because of what it did.
func (c *childProcess) endForBreach(breach error) {
	c.mu.Lock()
	c.leaving = true
	if c.breachCause == nil && c.hungCause == nil && !c.retired {
		c.breachCause = breach
	}
	c.mu.Unlock()
	c.process.Stop()
}

// retireChild ends the command in order: by the end of its input, SIGTERM after the grace, SIGKILL
// after another.
func (c *childProcess) retireChild() {
	c.mu.Lock()
	if !c.leaving {
		c.leaving, c.retired = true, true
	}
	c.mu.Unlock()
	c.process.CloseInput()
	time.AfterFunc(c.stream.grace, c.process.Stop) // does nothing once it has ended
}

// acceptsEvents reports whether the child can be told of more events.
func (c *childProcess) acceptsEvents() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.leaving
}

// runEvent tells the child of the event and waits for how that ends. It is false when the child is
// told of no more.
func (c *childProcess) runEvent(ctx context.Context, e streamEvent) (deliveryOutcome, bool) {
	d, out := c.queueEvent(e)
	if d == nil {
		return out, out.answer != nil
	}
	c.wakeWriter()
	return c.awaitOutcome(ctx, d), true
}

func (c *childProcess) wakeWriter() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look
	}
}

// awaitOutcome waits for how a delivery ends.
func (c *childProcess) awaitOutcome(ctx context.Context, d *streamDelivery) deliveryOutcome {
	select {
	case out := <-d.ended:
		return out
	case <-ctx.Done():
		return c.awaitLateAnswer(d, context.Cause(ctx))
	}
}

// queueEvent queues a delivery of the event. An event that an earlier run, which was cancelled, has
// left with the command is not handed over again: its answer is that run's, or already there. It is
// nil if there is an answer, or the child is told of no more events.
func (c *childProcess) queueEvent(e streamEvent) (*streamDelivery, deliveryOutcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queueLocked(e)
}

// queueLocked is queueEvent with the mutex held.
func (c *childProcess) queueLocked(e streamEvent) (*streamDelivery, deliveryOutcome) {
	key := e.key
	if c.stream.finished.takeKey(key) {
		c.stream.log.Info("the command has done the event in a run that was cancelled: not handed over again", "idempotency_key", key)
		return nil, deliveryOutcome{fate: fateAnswered, answer: &streamAnswer{Status: statusDone}}
	}
	if d := c.abandoned[key]; d != nil {
		d.abandoned = false
		delete(c.abandoned, key)
		return d, deliveryOutcome{}
	}
	if c.leaving {
		return nil, deliveryOutcome{}
	}
	c.number++
	d := &streamDelivery{key: key, number: c.number, line: e.line, batch: e.batch, writtenAt: unwritten, ended: make(chan deliveryOutcome, 1)}
	c.inFlight[d.number] = d
	c.queue = append(c.queue, d)
	return d, deliveryOutcome{}
}

// awaitLateAnswer waits for an answer that may be on its way, for the grace: after this process was
// frozen it often is. At the run limit there is nothing to wait for but the end of the child, which
// hangs.
func (c *childProcess) awaitLateAnswer(d *streamDelivery, cause error) deliveryOutcome {
	if !errors.Is(cause, consumer.ErrRunLimit) && c.wasWritten(d) {
		grace := time.NewTimer(c.stream.grace)
		defer grace.Stop()
		select {
		case out := <-d.ended:
			return out
		case <-grace.C:
		}
	}
	if c.abandonDelivery(d, cause) {
		return deliveryOutcome{fate: fateAbandoned, err: cause}
	}
	return <-d.ended
}

// wasWritten reports whether the command may have read of the delivery.
func (c *childProcess) wasWritten(d *streamDelivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return d.writtenAt != unwritten
}

// abandonDelivery is false when there is, or will be, an end to wait for.
func (c *childProcess) abandonDelivery(d *streamDelivery, cause error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight[d.number] != d {
		return false
	}
	late := errors.Is(cause, consumer.ErrRunLimit)
	if late {
		d.pastRunLimit = true
	} else {
		d.abandoned, d.line = true, nil
		if d.writtenAt != unwritten {
			c.abandoned[d.key] = d
		}
	}
	if late || c.alone { // in a child of its own it disturbs nobody
		c.leaving = true
		if c.hungCause == nil {
			c.hungCause = cause
		}
		c.process.Stop()
	}
	return !late
}

// handleAnswer settles a delivery by what the command says. That one is done of which nobody waits
// for the answer any more is remembered for the event's next run.
func (c *childProcess) handleAnswer(a *streamAnswer) {
	c.mu.Lock()
	d := c.inFlight[a.Delivery]
	known := d != nil && d.writtenAt != unwritten // else it guesses
	ignored := !known
	if known {
		c.answered = true
		delete(c.inFlight, a.Delivery)
		d.ended <- deliveryOutcome{fate: fateAnswered, answer: a}
		if d.abandoned {
			delete(c.abandoned, d.key)
			if ignored = a.Status != statusDone; !ignored {
				c.stream.finished.addKey(d.key)
			}
		}
	}
	c.mu.Unlock()
	if known {
		c.stream.answered.Store(true)
	}
	if ignored {
		c.stream.strays.logStray(a)
	}
}
