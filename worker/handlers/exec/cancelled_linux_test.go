package exec

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/consumer"
)

// interrupt has the command hold an event whose run is cancelled.
func (r *rig) interrupt(id string, cause error) <-chan error {
	r.t.Helper()
	ctx, cancel := context.WithCancelCause(r.t.Context())
	run := r.start(ctx, id, "wait")
	cancel(cause)
	return run
}

func TestAnswerWithinTheGraceCountsAfterCancellation(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{consumer.ErrLeaseLost, consumer.ErrDrainTimeout} {
		r := begin(t, obedient, &Options{Grace: time.Minute})
		cancelled := r.interrupt("a", cause)
		if err := errors.Join(r.handle("b", "release"), <-cancelled); err != nil {
			t.Errorf("%v: the command has done it: %v", cause, err)
		}
	}
}

func TestLostLeaseIsWaitedForNoLongerThanTheGrace(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, &Options{Grace: 10 * time.Millisecond})
	if err := <-r.interrupt("a", consumer.ErrLeaseLost); !errors.Is(err, consumer.ErrLeaseLost) {
		t.Error(err)
	}
	other := r.start(t.Context(), "other", "wait")
	if err := errors.Join(r.handle("c", "release"), <-other); err != nil { // it answers all three
		t.Error(err)
	}
}

// reads counts how often the command, which reads one event after the other, was handed this one.
func (r *rig) reads(id string) int {
	r.t.Helper()
	r.probes++
	probe := fmt.Sprint("probe-", r.probes)
	if err := r.handle(probe, "done"); err != nil {
		r.t.Error(err)
	}
	r.out.await(r.t, "read "+probe+"\n")
	return strings.Count(r.out.String(), "read "+id+"\n")
}

// A run that was cancelled has left its event with the command. The next run gets the answer, and
// does not hand it over again.
func TestLateAnswerIsTheNextRuns(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, &Options{Grace: 10 * time.Millisecond})
	if err := <-r.interrupt("a", consumer.ErrLeaseLost); !errors.Is(err, consumer.ErrLeaseLost) {
		t.Error(err)
	}
	again := make(chan error, 1)
	go func() { again <- r.handle("a", "wait") }()
	waitUntil(t, func() bool {
		c := r.sharedSlot.currentChild()
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.abandoned) == 0
	})
	if err := errors.Join(r.handle("b", "release"), <-again); err != nil {
		t.Error(err)
	}
	if n := r.reads("a"); n != 1 {
		t.Errorf("the command was handed the event %d times", n)
	}
	if err := r.handle("a", "done"); err != nil {
		t.Error(err)
	}
	if n := r.reads("a"); n != 2 {
		t.Errorf("an answer counts once, and the command was handed the event %d times", n)
	}
}

func TestLateAnswerIsRememberedForTheNextRun(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, &Options{Grace: 10 * time.Millisecond})
	if err := <-r.interrupt("a", consumer.ErrLeaseLost); !errors.Is(err, consumer.ErrLeaseLost) {
		t.Error(err)
	}
	if err := r.handle("b", "release"); err != nil {
		t.Error(err)
	}
	waitUntil(t, func() bool {
		r.finished.mu.Lock()
		defer r.finished.mu.Unlock()
		return len(r.finished.known) == 1
	})
	if err := r.handle("a", "done"); err != nil {
		t.Error(err)
	}
	if n := r.reads("a"); n != 1 {
		t.Errorf("the command was handed the event %d times", n)
	}
	if err := r.handle("a", "done"); err != nil {
		t.Error(err)
	}
	if n := r.reads("a"); n != 2 {
		t.Errorf("an answer counts once, and the command was handed the event %d times", n)
	}
}

// A late answer that is no success is for nobody: the event runs again.
func TestLateFailureIsIgnored(t *testing.T) {
	t.Parallel()
	r := begin(t, `while read -r line; do echo "read x" >&2; read -r go; echo '{"delivery":1,"status":"retry"}'; done`, &Options{Grace: 10 * time.Millisecond})
	if err := <-r.interruptRead("a", "x"); !errors.Is(err, consumer.ErrLeaseLost) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(r.ctx("b"))
	b := make(chan error, 1)
	go func() { b <- r.Handle(ctx, doing("b", "", "")) }()
	r.log.await(t, "ignored an answer")
	cancel()
	<-b
	if r.finished.takeKey("a") {
		t.Error("a failure was taken for a success")
	}
}

// interruptRead is interrupt for a command that says something else when it has read the event.
func (r *rig) interruptRead(id, says string) <-chan error {
	r.t.Helper()
	ctx, cancel := context.WithCancelCause(r.t.Context())
	run := make(chan error, 1)
	go func() { run <- r.Handle(within(ctx, id), doing(id, "", "")) }()
	r.out.await(r.t, "read "+says+"\n")
	cancel(consumer.ErrLeaseLost)
	return run
}

// The command has ended with an event that nobody waits for: the next run hands it to the next
// command.
func TestForsakenEventOfACommandThatEndedRunsAgain(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, &Options{Grace: 10 * time.Millisecond})
	if err := <-r.interrupt("a", consumer.ErrLeaseLost); !errors.Is(err, consumer.ErrLeaseLost) {
		t.Error(err)
	}
	dead := r.sharedSlot.currentChild()
	is(t, r.handle("b", "die"), true, "poisoned")
	if d, _ := dead.queueEvent(streamEvent{key: "a"}); d != nil {
		t.Error("a run would wait for the answer of a command that has ended")
	}
	if err := r.handle("a", "done"); err != nil {
		t.Error(err)
	}
	r.out.await(t, "read a\nread b\npoisoned\nread a\n")
}

func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) { // of a mutex, which has no signal
		if time.Now().After(end) {
			t.Fatal("it never happens")
		}
	}
}

func TestFinishedKeysAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := rememberedKeys{ttl: finishedTTL}
		for i := range maxRemembered + 10 {
			f.addKey(fmt.Sprint(i))
		}
		if last := fmt.Sprint(maxRemembered + 9); len(f.known) != maxRemembered || f.takeKey("0") || !f.takeKey(last) || f.takeKey(last) {
			t.Errorf("%d keys, or the last one is not among them once", len(f.known))
		}
		f.addKey("old")
		time.Sleep(finishedTTL + 1)
		if f.takeKey("old") {
			t.Error("an answer of long ago counts")
		}
	})
}
