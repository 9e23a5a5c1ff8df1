package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/worker/view"
)

type previewInput struct {
	LetterTopic
	LetterFilter
}

type previewOutput struct {
	Body LetterPreview
}

// LetterPreview is what a bulk change would change.
type LetterPreview struct {
	Topic    string        `json:"topic"`
	Selected int           `json:"selected" doc:"how many letters the filter selects"`
	Skipped  int           `json:"skipped" doc:"events that were passed over: they are no letters, or have lost a part"`
	First    []view.Letter `json:"first" doc:"the first five of them"`
}

// defaultPerSecond is how many letters a second are redriven if nothing else is said.
const defaultPerSecond = 50

// bulkInput selects letters.
type bulkInput struct {
	LetterTopic

	Body BulkRequest
}

// BulkRequest selects letters to be redriven. One member of filter is set; the topic ">" is all.
type BulkRequest struct {
	Why

	Filter    LetterFilter `json:"filter"`
	ToGroup   string       `json:"to_group,omitempty" doc:"the group that is to handle the events; absent: the one that gave them up"`
	Limit     int          `json:"limit,omitempty" minimum:"0" doc:"how many letters at most; absent: all"`
	PerSecond *float64     `json:"per_second,omitempty" minimum:"0" doc:"how many letters a second at most; 0: as many as possible; absent: 50"`
}

func (in *bulkInput) why() *Why      { return &in.Body.Why }
func (in *bulkInput) target() string { return describeBulk(&in.LetterTopic, &in.Body.Filter) }

type dropAllInput struct {
	LetterTopic

	Body DropRequest
}

// DropRequest selects letters to be dropped. One member of filter is set; the topic ">" is all.
type DropRequest struct {
	Why

	Filter LetterFilter `json:"filter"`
	Expect int          `json:"expect" minimum:"1" doc:"how many letters the filter selects, as a preview has said; where it selects another number, nothing is dropped (409)"`
}

func (in *dropAllInput) why() *Why      { return &in.Body.Why }
func (in *dropAllInput) target() string { return describeBulk(&in.LetterTopic, &in.Body.Filter) }

func describeBulk(t *LetterTopic, f *LetterFilter) string {
	return fmt.Sprintf("letters of group %s on %s: %s", t.Group, t.name(), f)
}

type startedOutput struct {
	Location string `header:"Location" doc:"the operation"`
	Body     Operation
}

type operationsOutput struct {
	Body OperationList
}

// OperationList are the operations of this process, the newest first.
type OperationList struct {
	Operations []Operation `json:"operations"`
}

// operationPath names an operation.
type operationPath struct {
	ID string `path:"id" minLength:"1" maxLength:"64" doc:"id of the operation"`
}

type operationOutput struct {
	Body Operation
}

type cancelInput struct {
	Why

	ID string `path:"id" minLength:"1" maxLength:"64" doc:"id of the operation"`
}

func (in *cancelInput) target() string { return "operation " + in.ID }

func (a *API) registerOperations() {
	register(a, reading("preview-dead-letters", "/v1/groups/{group}/dead-letter-preview", tagLetters, "Preview a bulk change",
		"How many dead letters a filter selects, and the first of them.", http.StatusNotFound), a.previewLetters)
	op := changingBy(http.MethodPost, "redrive-dead-letters", "/v1/groups/{group}/dead-letter-redrives", tagLetters, "Redrive the dead letters that a filter selects",
		"It goes on as an operation of this process. What fails again has a new letter, which it leaves alone. One that was interrupted goes on when it is repeated.",
		http.StatusConflict, http.StatusTooManyRequests)
	op.DefaultStatus = http.StatusAccepted
	registerChange(a, op, a.redriveLetters)
	op = changingBy(http.MethodPost, "drop-dead-letters", "/v1/groups/{group}/dead-letter-drops", tagLetters, "Drop the dead letters that a filter selects",
		"It goes on as an operation of this process.", http.StatusConflict, http.StatusTooManyRequests)
	op.DefaultStatus = http.StatusAccepted
	registerChange(a, op, a.dropLetters)
	register(a, reading("list-operations", "/v1/operations", tagOperations, "List operations",
		"The bulk changes of this process: those that run, and the last hundred that have ended."), a.listOperations)
	register(a, reading("show-operation", "/v1/operations/{id}", tagOperations, "Show an operation",
		"How far it is, who asked for it, and why.", http.StatusNotFound), a.showOperation)
	registerChange(a, changingBy(http.MethodDelete, "cancel-operation", "/v1/operations/{id}", tagOperations, "Cancel an operation",
		"It ends before its next batch. What it has changed stays changed."), a.cancelOperation)
}

func (a *API) previewLetters(ctx context.Context, in *previewInput) (*previewOutput, error) {
	f, err := in.parse(in.Group)
	if err != nil {
		return nil, err
	}
	t, err := a.openLetters(&in.LetterTopic)
	if err != nil {
		return nil, err
	}
	p, err := t.Preview(ctx, f, 0)
	if err := a.withoutStream(ctx, &in.LetterTopic, err); err != nil {
		return nil, err
	}
	return &previewOutput{LetterPreview{in.name(), p.Selected, p.Skipped, view.NewLetters(p.First)}}, nil
}

// selectLetters opens the topic of a bulk change, which must select something by more than the
// group.
func (a *API) selectLetters(lt *LetterTopic, lf *LetterFilter) (t *deadletter.Topic, f deadletter.Filter, err error) {
	if *lf == (LetterFilter{}) {
		return nil, f, fmt.Errorf("%w: which letters? Set a member of filter; the topic \">\" is all", errInvalid)
	}
	if f, err = lf.parse(lt.Group); err != nil {
		return nil, f, err
	}
	t, err = a.openLetters(lt)
	return t, f, err
}

func (a *API) redriveLetters(ctx context.Context, in *bulkInput) (*startedOutput, error) {
	t, f, err := a.selectLetters(&in.LetterTopic, &in.Body.Filter)
	if err != nil {
		return nil, err
	}
	group := cmp.Or(in.Body.ToGroup, in.Group)
	store, err := a.marksOf(ctx, group)
	if err != nil {
		return nil, err
	}
	layout, err := a.conns.GroupLayout(ctx, group)
	if err != nil {
		return nil, err
	}
	return a.startOperation(ctx, "redrive", in, func(ctx context.Context, o *deadletter.BulkOptions) (deadletter.Bulk, error) {
		o.ToGroup, o.Limit, o.PerSecond = in.Body.ToGroup, in.Body.Limit, defaultPerSecond
		if in.Body.PerSecond != nil {
			o.PerSecond = *in.Body.PerSecond
		}
		return t.In(layout).RedriveAll(ctx, store, f, o)
	})
}

func (a *API) dropLetters(ctx context.Context, in *dropAllInput) (*startedOutput, error) {
	t, f, err := a.selectLetters(&in.LetterTopic, &in.Body.Filter)
	if err != nil {
		return nil, err
	}
	p, err := t.Preview(ctx, f, 0)
	if err != nil {
		return nil, err
	}
	if p.Selected != in.Body.Expect {
		return nil, fmt.Errorf("%w: the filter selects %d letters, not %d: look at them again, and say how many are to be dropped", errConflict, p.Selected, in.Body.Expect)
	}
	// What nobody has counted is not dropped, also where others delete some of the counted letters
	// meanwhile.
	f.Until = p.Last.Stored.Add(1)
	return a.startOperation(ctx, "drop", in, func(ctx context.Context, o *deadletter.BulkOptions) (deadletter.Bulk, error) {
		o.Limit = in.Body.Expect
		return t.DropAll(ctx, f, o)
	})
}

// startOperation starts a bulk change, whose end is logged.
func (a *API) startOperation(
	ctx context.Context, kind string, in changing, do func(context.Context, *deadletter.BulkOptions) (deadletter.Bulk, error),
) (*startedOutput, error) {
	op, err := a.operations.start(Operation{Kind: kind, Target: in.target(), By: in.why().By, Reason: in.why().Reason}, a.logEnded,
		func(ctx context.Context, o *deadletter.BulkOptions) (deadletter.Bulk, error) {
			n, err := do(ctx, o)
			if errors.Is(err, bus.ErrNoStream) {
				return n, nil // there are no letters
			}
			return n, err
		})
	if err != nil {
		return nil, err
	}
	return &startedOutput{callerFrom(ctx).prefix + "/v1/operations/" + op.ID, op}, nil
}

func (a *API) logEnded(op *Operation) {
	a.o.Logger.Info("admin operation ended", "operation", op.ID, "kind", op.Kind, "target", op.Target, "by", op.By, "why", op.Reason, "result", op.State,
		"done", op.Done, "gone", op.Gone, "failed", op.Failed, "superseded", op.Superseded, "error", op.Error)
}

func (a *API) listOperations(context.Context, *struct{}) (*operationsOutput, error) {
	return &operationsOutput{OperationList{a.operations.list()}}, nil
}

func (a *API) showOperation(_ context.Context, in *operationPath) (*operationOutput, error) {
	op, err := a.operations.find(in.ID, false)
	if err != nil {
		return nil, err
	}
	return &operationOutput{op}, nil
}

func (a *API) cancelOperation(_ context.Context, in *cancelInput) (*operationOutput, error) {
	op, err := a.operations.find(in.ID, true)
	if err != nil {
		return nil, err
	}
	return &operationOutput{op}, nil
}
