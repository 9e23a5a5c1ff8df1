package exec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

func TestAnswersAreVerdicts(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, nil)
	if err := r.handle("a", "done"); err != nil {
		t.Error(err)
	}
	for text, permanent := range map[string]bool{
		`{"delivery":N,"status":"retry","reason":"because"}`:                        false,
		`{"delivery":N,"status":"retry","reason":"because","after":"30s"}`:          false,
		`{"delivery":N,"status":"retry","reason":"because","after":"soon"}`:         false,
		`{"reason":"because","other":[1],"delivery":N,"status":"permanent"}` + "\n": true,
	} {
		err := r.Handle(r.ctx("b"), doing("b", "print", text))
		is(t, err, false, "because")
		if consumer.IsPermanent(err) != permanent {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAnswersComeInAnyOrder(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, nil)
	a := r.start(t.Context(), "a", "wait")
	b := r.start(t.Context(), "b", "wait")
	if err := errors.Join(r.handle("c", "release"), <-b, <-a); err != nil {
		t.Error(err)
	}
}

func TestAnswersSettleTheirOwnEventOnly(t *testing.T) {
	t.Parallel()
	const permanent = `{"delivery":%s,"status":"permanent"}`
	for name, text := range map[string]string{
		"twice":       `{"delivery":N,"status":"done"}` + "\n" + fmt.Sprintf(permanent, "N"),
		"in advance":  fmt.Sprintf(permanent, "2") + "\n" + `{"delivery":N,"status":"done"}`,
		"for nothing": fmt.Sprintf(permanent, "77") + "\n" + `{"delivery":N,"status":"done"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := begin(t, obedient, nil)
			if err := r.Handle(r.ctx("a"), doing("a", "print", text)); err != nil {
				t.Error(err)
			}
			r.log.await(t, "ignored an answer")
			if err := r.handle("b", "done"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGarbageEndsTheCommand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"hello":                               `"hello"`,
		"\x1b[2J":                             `\x1b`,
		`{"delivery":N}`:                      "must be done, retry, throttled, unavailable or permanent",
		`{"delivery":N,"status":"maybe"}`:     "must be done, retry, throttled, unavailable or permanent",
		`{"status":"done"}`:                   "no \"delivery\"",
		`[]`:                                  "standard error",
		strings.Repeat("x", maxAnswerBytes+1): "longer than 65536 bytes",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			r := begin(t, obedient, nil)
			err := r.Handle(r.ctx("a"), doing("a", "print", text))
			is(t, err, false, want, "answers only", "standard error")
			if len(err.Error()) > 3000 {
				t.Errorf("%d bytes", len(err.Error()))
			}
			if err := r.handle("b", "done"); err != nil {
				t.Errorf("after a restart: %v", err)
			}
		})
	}
}

func TestCommandThatDiesAloneHasFailed(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, nil)
	is(t, r.handle("a", "die"), false, "exit status 3", "poisoned")
	if err := r.handle("b", "done"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestSuspectsRunAlone(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, nil)
	a := r.start(t.Context(), "a", "wait")
	b := r.start(t.Context(), "b", "wait")
	is(t, r.handle("c", "die"), true, "exit status 3", "poisoned", "alone")
	is(t, <-a, true)
	is(t, <-b, true)
	besides, suspect := r.handle("d", "pid"), r.handle("a", "pid")
	if besides.Error() == suspect.Error() {
		t.Errorf("%v: a suspect ran beside others", suspect)
	}
	is(t, r.handle("c", "die"), false, "exit status 3")
	if again := r.handle("d", "pid"); again.Error() != besides.Error() {
		t.Errorf("%v, then %v: a suspect took innocents with it", besides, again)
	}
	if err := r.handle("a", "done"); err != nil {
		t.Error(err)
	}
	if innocent := r.handle("a", "pid"); innocent.Error() != besides.Error() {
		t.Errorf("%v: what was done stays a suspect", innocent)
	}
}

func TestIdleCommandOfSuspectsEnds(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, &Options{Idle: 10 * time.Millisecond})
	is(t, r.handle("a", "die"), false)
	if err := r.handle("a", "done"); err != nil {
		t.Error(err)
	}
	r.out.await(t, "end of input")
	is(t, r.handle("b", "die"), false)
	if err := r.handle("b", "done"); err != nil {
		t.Errorf("it does not come back: %v", err)
	}
}

// A command that ends after each event has not read the next one: nobody is to blame.
func TestWhatWasNotReadIsReadByTheNextCommand(t *testing.T) {
	t.Parallel()
	r := begin(t, `read -r line; n=${line#*:}; echo "{\"delivery\":${n%%,*},\"status\":\"done\"}"`, nil)
	var events sync.WaitGroup
	for i := range 40 {
		events.Go(func() {
			if err := r.handle(fmt.Sprint(i), "done"); err != nil {
				t.Error(err)
			}
		})
	}
	events.Wait()
}

func TestLastAnswerNeedsNoEnd(t *testing.T) {
	t.Parallel()
	r := begin(t, `read -r line; printf '{"delivery":1,"status":"done"}'`, nil)
	if err := r.handle("a", "done"); err != nil {
		t.Error(err)
	}
}

func TestCommandEndsWithItsFirstProcess(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"child":       `read -r line; sleep 1000 & exit 3`,
		"own session": `read -r line; setsid sleep 1000 & exit 3`,
		"no pipes":    `read -r line; exec >&- 2>&- <&-; exit 3`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := begin(t, line, &Options{Grace: time.Minute})
			ctx, cancel := context.WithTimeout(r.ctx("a"), 50*time.Second)
			defer cancel()
			is(t, r.Handle(ctx, doing("a", "", "")), false, "exit status 3")
		})
	}
}

func TestCommandThatClosesItsOutputIsStopped(t *testing.T) {
	t.Parallel()
	r := begin(t, `read -r line; exec >&-; sleep 1000`, &Options{Grace: 50 * time.Millisecond})
	is(t, r.handle("a", ""), false, "closed its standard output")
}

func TestCommandThatClosesItsInputIsStopped(t *testing.T) {
	t.Parallel()
	r := begin(t, `read -r line; exec <&-; echo >&2 closed; sleep 1000`, &Options{Grace: 50 * time.Millisecond})
	a := make(chan error, 1)
	go func() { a <- r.handle("a", "") }()
	r.out.await(t, "closed")
	ctx, cancel := context.WithCancel(r.ctx("b"))
	b := make(chan error, 1)
	go func() { b <- r.Handle(ctx, doing("b", "", "")) }()
	is(t, <-a, false, "closed its standard input")
	cancel()
	<-b
}

func TestRunLimitStopsTheCommand(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	hung := r.start(ctx, "hung", "wait")
	collateral := r.start(t.Context(), "collateral", "wait")
	cancel(consumer.ErrRunLimit)
	err := <-hung
	is(t, err, false, "did not answer")
	if !errors.Is(err, consumer.ErrRunLimit) {
		t.Error(err)
	}
	is(t, <-collateral, true)
	if r.suspects.hasKey("collateral") || !r.suspects.hasKey("hung") {
		t.Error("the event that hung is the suspect, and no other")
	}
	if err := r.handle("next", "done"); err != nil {
		t.Error(err)
	}
}

// With two that have reached their limit, one may hang because of the other.
func TestRunLimitOfTwoMakesSuspects(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	a, b := r.start(ctx, "a", "wait"), r.start(ctx, "b", "wait")
	for _, id := range []string{"a", "b"} { // both at once, before the command has ended
		r.sharedSlot.currentChild().lateNow(id)
	}
	cancel(consumer.ErrRunLimit)
	is(t, <-a, true)
	is(t, <-b, true)
	if !r.suspects.hasKey("a") || !r.suspects.hasKey("b") {
		t.Error("no suspects")
	}
}

// lateNow makes sure that the event counts as late.
func (c *childProcess) lateNow(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.inFlight {
		if d.key == key {
			d.pastRunLimit = true
		}
	}
}

func TestCommandThatNeverReadsBlocksNobodyForLonger(t *testing.T) {
	t.Parallel()
	r := begin(t, `exec sleep 1000`, &Options{Grace: 100 * time.Millisecond})
	ctx, cancel := context.WithCancelCause(t.Context())
	errs := make(chan error)
	for i := range 5 {
		id := fmt.Sprint(i)
		go func() { errs <- r.Handle(within(ctx, id), bus.Event{ID: id, Topic: "t", Data: make([]byte, 200<<10)}) }()
	}
	lease, lose := context.WithCancelCause(r.ctx("x"))
	lose(consumer.ErrLeaseLost)
	if err := r.Handle(lease, doing("x", "", "")); !errors.Is(err, consumer.ErrLeaseLost) {
		t.Error(err)
	}
	cancel(consumer.ErrRunLimit)
	for range 5 {
		if err := <-errs; err == nil || !errors.Is(err, consumer.ErrRunLimit) {
			t.Error(err)
		}
	}
}

func TestLargeAndBinaryEvents(t *testing.T) {
	t.Parallel()
	r := begin(t, obedient, nil)
	text := strings.Repeat("large ", 2<<20/6)
	sum := sha256.Sum256([]byte(text))
	is(t, r.Handle(r.ctx("a"), doing("a", "sum", text)), false, hex.EncodeToString(sum[:]))
}

func TestFloodOfStandardError(t *testing.T) {
	r := begin(t, obedient, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := r.handle("a", "flood"); err != nil {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.Sys) - int64(before.Sys); grown > 50<<20 {
		t.Errorf("100 MB of standard error took %d bytes of memory", grown)
	}
	err := r.handle("b", "die")
	is(t, err, false, "poisoned")
	if len(err.Error()) > 2500 {
		t.Errorf("a reason of %d bytes", len(err.Error()))
	}
}

func TestCommandThatCannotRunEndsTheWorker(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"/no/such/command":      "does not exist",
		"exec /no/such/command": "does not exist",
		"read -r line; no-such": "does not exist",
		"/etc/passwd":           "cannot be executed",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			r := begin(t, line, nil)
			is(t, r.handle("a", ""), true, want)
			run, _ := r.Actor()
			is(t, run(), false, want, "permissions", line[len(line)-7:])
		})
	}
}

func TestMissingCommandThatAnsweredIsAwaited(t *testing.T) {
	t.Parallel()
	r := begin(t, `read -r line; echo '{"delivery":1,"status":"done"}'; exit 127`, nil)
	for i := range 3 {
		if err := r.handle(fmt.Sprint(i), ""); err != nil {
			t.Error(err)
		}
	}
	if err := r.endError(); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsTheCommand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ line, says string }{
		"at the end of its input": {`echo >&2 ready; cat >/dev/null; echo >&2 ended`, "ended"},
		"by SIGTERM":              {`trap 'echo >&2 told; exit' TERM; echo >&2 ready; while :; do sleep 0.01; done`, "told"},
		"by SIGKILL":              {`trap '' TERM; echo >&2 ready; while :; do sleep 0.01; done`, "ready"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := begin(t, test.line, &Options{Grace: 300 * time.Millisecond})
			if strings.Contains(test.line, "ready") {
				r.out.await(t, "ready")
			}
			if err := errors.Join(r.Close(), r.Close()); err != nil {
				t.Error(err)
			}
			if !strings.Contains(r.out.String(), test.says) {
				t.Errorf("%q, want %q", r.out, test.says)
			}
			is(t, r.handle("a", ""), true, "closed")
		})
	}
}

func TestNoStreamWithoutItsGuard(t *testing.T) {
	t.Parallel()
	if _, err := NewStream("g", "true", nil); err == nil || !strings.Contains(err.Error(), "Options.Guard") {
		t.Error(err)
	}
	for _, o := range []Options{{Guard: []string{"x"}, Grace: -1}, {Guard: []string{"x"}, Idle: -1}} {
		if _, err := NewStream("g", "true", &o); err == nil || !strings.Contains(err.Error(), "-1ns") {
			t.Error(err)
		}
	}
}
