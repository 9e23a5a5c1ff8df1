package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/onceish/onceish/deadletter"
)

const redrives = "/v1/groups/billing/dead-letter-redrives"

// awaitEnd waits until an operation has ended.
func (r *rig) awaitEnd(tb testing.TB, location string) Operation {
	tb.Helper()
	for {
		if op := decode[Operation](tb, r.get(tb, location)); op.State != operationRunning {
			return op
		}
		if tb.Context().Err() != nil {
			tb.Fatal("it did not end")
		}
	}
}

// A bulk redrive goes on after it was answered, and its events are handled once.
func TestBulkRedriveGoesOnAsAnOperation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.makeStreams(t)
	const letters = 300
	handled := make(chan string, 2*letters)
	r.startWorker(t, handled)
	publishLetters(t, r, 1, letters)
	a := r.post(t, redrives, `{"filter":{"topic":"order.*"},"per_second":0,"reason":"repaired","by":"ada"}`)
	started := decode[Operation](t, a)
	if a.status != http.StatusAccepted || a.header.Get("Location") != "/v1/operations/"+started.ID || started.By != "ada" {
		t.Fatalf("started: %d %v %s", a.status, a.header, a.body)
	}
	op := r.awaitEnd(t, a.header.Get("Location"))
	if op.State != operationDone || op.Done != letters || op.Reason != "repaired" || op.Ended.IsZero() {
		t.Errorf("ended: %+v", op)
	}
	if want := `letters of group billing on dead.billing: topic="order.*"`; op.Target != want {
		t.Errorf("its target is %q, not %q", op.Target, want)
	}
	seen := map[string]int{}
	for range letters {
		seen[<-handled]++
	}
	if len(seen) != letters {
		t.Errorf("%d of %d events were handled", len(seen), letters)
	}
	if list := decode[OperationList](t, r.get(t, "/v1/operations")); len(list.Operations) != 1 || list.Operations[0].ID != op.ID {
		t.Errorf("operations: %+v", list)
	}
	if !strings.Contains(r.log.String(), `msg="admin operation ended"`) || !strings.Contains(r.log.String(), "by=ada why=repaired result=done done=300") {
		t.Errorf("the log: %s", r.log)
	}
}

// An operation that is cancelled stops; repeated it goes on.
func TestCancelledOperationGoesOnWhenRepeated(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.makeStreams(t)
	handled := make(chan string, 100)
	r.startWorker(t, handled)
	publishLetters(t, r, 1, 20)
	a := r.post(t, redrives, `{"filter":{"topic":">"},"per_second":0.5,"reason":"repaired"}`)
	<-handled
	for decode[Operation](t, r.get(t, a.header.Get("Location"))).Done == 0 {
		if t.Context().Err() != nil {
			t.Fatal("nothing is done")
		}
	}
	cancelled := r.send(t, http.MethodDelete, a.header.Get("Location")+"?reason=too+slow", "")
	decode[Operation](t, cancelled)
	op := r.awaitEnd(t, a.header.Get("Location"))
	if op.State != operationCancelled || op.Done == 0 || op.Done == 20 {
		t.Errorf("cancelled: %+v", op)
	}
	again := r.awaitEnd(t, r.post(t, redrives, `{"filter":{"topic":">"},"per_second":0,"reason":"repaired"}`).header.Get("Location"))
	if again.State != operationDone || op.Done+again.Done != 20 {
		t.Errorf("repeated: %+v after %+v", again, op)
	}
	refuses(t, r.get(t, "/v1/operations/nothing"), http.StatusNotFound, "nothing")
	refuses(t, r.send(t, http.MethodDelete, "/v1/operations/nothing?reason=r", ""), http.StatusNotFound, "nothing")
}

// Letters are dropped in bulk only by who knows how many they are.
func TestBulkDropTakesTheNumberOfLetters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.makeStreams(t)
	r.startWorker(t, nil)
	publishLetters(t, r, 1, 12)
	preview := decode[LetterPreview](t, r.get(t, "/v1/groups/billing/dead-letter-preview?error=no+rate+for+1"))
	if preview.Selected != 4 || len(preview.First) != 4 {
		t.Fatalf("preview: %+v", preview)
	}
	const drops = "/v1/groups/billing/dead-letter-drops"
	refuses(t, r.post(t, drops, `{"filter":{"error":"no rate for 1"},"expect":12,"reason":"r"}`), http.StatusConflict, "selects 4 letters")
	refuses(t, r.post(t, drops, `{"filter":{},"expect":12,"reason":"r"}`), http.StatusUnprocessableEntity, "which letters")
	refuses(t, r.post(t, redrives, `{"filter":{},"reason":"r"}`), http.StatusUnprocessableEntity, "which letters")
	refuses(t, r.post(t, drops, `{"filter":{"topic":">"},"reason":"r"}`), http.StatusUnprocessableEntity, "expect")
	op := r.awaitEnd(t, r.post(t, drops, `{"filter":{"error":"no rate for 1"},"expect":4,"reason":"test data"}`).header.Get("Location"))
	if op.State != operationDone || op.Done != 4 {
		t.Errorf("dropped: %+v", op)
	}
	if page := decode[LetterPage](t, r.get(t, "/v1/groups/billing/dead-letters")); len(page.Letters) != 8 {
		t.Errorf("%d letters are left", len(page.Letters))
	}
}

// Few operations run at once, those that ended are forgotten at last, and none outlives the API.
func TestOperationsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOperations()
		ended := make(chan *Operation, 2*maxKept)
		waits := func(ctx context.Context, _ *deadletter.BulkOptions) (deadletter.Bulk, error) {
			<-ctx.Done()
			return deadletter.Bulk{Done: 1}, context.Cause(ctx)
		}
		fails := func(_ context.Context, b *deadletter.BulkOptions) (deadletter.Bulk, error) {
			for i := range maxFailures + 5 {
				b.Failed(nil, fmt.Errorf("letter %d", i))
			}
			return deadletter.Bulk{Failed: maxFailures + 5}, nil
		}
		for range maxKept + 10 {
			_, err := o.start(Operation{}, func(op *Operation) { ended <- op }, fails)
			must(t, err)
			if op := <-ended; op.State != operationFailed || len(op.Errors) != maxFailures || op.Errors[0] != "letter 5" {
				t.Fatalf("failed: %+v", op)
			}
		}
		synctest.Wait()
		if n := len(o.list()); n != maxKept {
			t.Errorf("%d are kept, want %d", n, maxKept)
		}
		for range maxRunning {
			_, err := o.start(Operation{}, func(op *Operation) { ended <- op }, waits)
			must(t, err)
		}
		if _, err := o.start(Operation{}, nil, waits); !errors.Is(err, errTooMany) {
			t.Errorf("one more: %v", err)
		}
		must(t, o.close(t.Context()))
		for range maxRunning {
			if op := <-ended; op.State != operationCancelled || op.Done != 1 {
				t.Errorf("closed: %+v", op)
			}
		}
		if _, err := o.start(Operation{}, nil, waits); !errors.Is(err, errClosed) {
			t.Errorf("after it was closed: %v", err)
		}
	})
}
