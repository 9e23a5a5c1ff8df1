package exec

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPausesBetweenStartsDouble(t *testing.T) {
	t.Parallel()
	l := newProcessSlot(&Stream{shellHandler: shellHandler{log: slog.New(slog.DiscardHandler), over: make(chan struct{})}}, false)
	var pauses []time.Duration
	for range 8 {
		l.delayRestart()
		pauses = append(pauses, l.restartDelay)
	}
	ms := time.Millisecond
	if want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms}; !slices.Equal(pauses, want) {
		t.Errorf("%v, want %v", pauses, want)
	}
	if wait := time.Until(l.nextStart); wait < 4*time.Second {
		t.Errorf("the next start is in %v", wait)
	}
}

// A command that answers nothing is started again after pauses; one that has answered at once.
func TestCommandThatDiesAtItsStartIsStartedAgain(t *testing.T) {
	t.Parallel()
	start := time.Now()
	r := begin(t, `echo >&2 began; test -e "`+t.TempDir()+`/no" || exit 1`, nil)
	r.out.await(t, strings.Repeat("began\n", 3))
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("three starts within %v", took)
	}
	if err := r.endError(); err != nil {
		t.Error(err)
	}
}

// An answer to what the command was not told yet is a guess. A command that cannot be started has
// nothing in hand: draining gives its events back at once, and none has used an attempt.
func TestDrainingDoesNotWaitForACommandThatCannotStart(t *testing.T) {
	t.Parallel()
	r := begin(t, "exit 1", nil)
	waiting := make(chan error, 3)
	for _, id := range []string{"a", "b", "c"} {
		go func() { waiting <- r.handle(id, "done") }()
	}
	r.log.await(t, "started again")
	_, stop := r.Actor()
	stop(nil)
	hangs := time.After(time.Minute)
	for range 3 {
		select {
		case err := <-waiting:
			is(t, err, true, "cannot be started", "no command has read the event")
		case <-hangs:
			t.Fatal("an event still waits for the command")
		}
	}
	is(t, r.handle("d", "done"), true, "cannot be started")
}

func TestAnswerInAdvanceSettlesNothing(t *testing.T) {
	t.Parallel()
	d := &streamDelivery{number: 1, writtenAt: unwritten, ended: make(chan deliveryOutcome, 1)}
	c := &childProcess{stream: &Stream{strays: strayAnswers{log: slog.New(slog.DiscardHandler)}}, inFlight: map[uint64]*streamDelivery{1: d}}
	c.handleAnswer(&streamAnswer{Delivery: 1, Status: statusDone})
	if len(d.ended) > 0 || len(c.inFlight) != 1 {
		t.Error("a guess was taken for an answer")
	}
}
