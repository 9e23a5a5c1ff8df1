package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/worker"
)

type redriveInput struct {
	LetterPath

	Body RedriveRequest
}

// RedriveRequest says for whom the event of a letter is redriven.
type RedriveRequest struct {
	Why

	ToGroup string `json:"to_group,omitempty" doc:"the group that is to handle the event; absent: the one that gave it up"`
}

func (in *redriveInput) why() *Why      { return &in.Body.Why }
func (in *redriveInput) target() string { return in.describe() }

func (p *LetterPath) describe() string { return fmt.Sprintf("letter %s on %s", p.ID, p.name()) }

type changedOutput struct {
	Body ChangedLetter
}

// ChangedLetter is what became of a letter.
type ChangedLetter struct {
	Letter     string `json:"letter" doc:"id of the letter that was redriven or dropped, or of the edit"`
	Changed    bool   `json:"changed" doc:"false: the edit changes nothing, or was made before"`
	Supersedes string `json:"supersedes,omitempty" doc:"the letter that was edited"`
}

type editInput struct {
	LetterPath

	Body EditRequest
}

// EditRequest is a change of the event of a letter.
type EditRequest struct {
	Why

	Data       *string             `json:"data,omitempty" doc:"new data that is text; absent, also data_base64: it stays"`
	DataBase64 []byte              `json:"data_base64,omitempty" doc:"new data that is no text"`
	Headers    map[string][]string `json:"headers,omitempty" doc:"headers that are replaced; an empty list leaves one out"`
	Force      bool                `json:"force,omitempty" doc:"take data that is no JSON though the event's content type says so"`
}

func (in *editInput) why() *Why      { return &in.Body.Why }
func (in *editInput) target() string { return in.describe() }

type dropInput struct {
	LetterPath
	Why
}

func (in *dropInput) target() string { return in.describe() }

func (a *API) registerLetterChanges() {
	const path = "/v1/groups/{group}/dead-letters/{id}"
	registerChange(a, changingBy(http.MethodPost, "redrive-dead-letter", path+"/redrive", tagLetters, "Redrive a dead letter",
		"Its event is published again, under its id, for the group alone, and the letter is deleted. What the group has handled since is not handled again. "+
			"It may be repeated.", http.StatusConflict), a.redriveLetter)
	registerChange(a, changingBy(http.MethodPatch, "edit-dead-letter", path, tagLetters, "Edit the event of a dead letter",
		"The edit is a letter of its own, which supersedes the other one: redrive it by its id. Of two edits of one letter the later one is refused (409).",
		http.StatusConflict), a.editLetter)
	registerChange(a, changingBy(http.MethodDelete, "drop-dead-letter", path, tagLetters, "Drop a dead letter",
		"The letter is deleted for good; its event stays given up.", http.StatusConflict), a.dropLetter)
}

// findLetter returns the letter that a path names, with its topic.
func (a *API) findLetter(ctx context.Context, p *LetterPath) (*deadletter.Topic, *deadletter.Letter, error) {
	t, err := a.openLetters(&p.LetterTopic)
	if err != nil {
		return nil, nil, err
	}
	l, err := t.Find(ctx, p.Group, p.ID)
	return t, l, err
}

// marksOf returns the store with the marks of who is to handle redriven events.
func (a *API) marksOf(ctx context.Context, group string) (dedupe.Reopener, error) {
	store, err := a.conns.GroupMarks(ctx, group)
	switch {
	case errors.Is(err, worker.ErrNoMarks):
		err = fmt.Errorf("%w: this API looks for marks in another store than the workers of the group", err)
	case errors.Is(err, worker.ErrNoConsumer):
		err = fmt.Errorf("%w, so nobody would handle the events: start its workers first, or name the group that replaces it as to_group", err)
	}
	return store, err
}

func (a *API) redriveLetter(ctx context.Context, in *redriveInput) (*changedOutput, error) {
	t, l, err := a.findLetter(ctx, &in.LetterPath)
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
	if err := errors.Join(t.In(layout).Redrive(ctx, store, in.Body.ToGroup, *l)...); err != nil {
		return nil, err
	}
	return &changedOutput{ChangedLetter{Letter: l.ID, Changed: true}}, nil
}

func (a *API) editLetter(ctx context.Context, in *editInput) (*changedOutput, error) {
	b := &in.Body
	if b.Data != nil && b.DataBase64 != nil {
		return nil, fmt.Errorf("%w: data and data_base64 are both set: leave one of them out", errInvalid)
	}
	t, l, err := a.findLetter(ctx, &in.LetterPath)
	if err != nil {
		return nil, err
	}
	edit := deadletter.Edit{Data: b.DataBase64, Headers: bus.Headers(b.Headers)}
	if b.Data != nil {
		edit.Data = []byte(*b.Data)
	}
	if edit.Data != nil && !b.Force {
		if err := l.CheckData(edit.Data); err != nil {
			return nil, fmt.Errorf("%w: correct it, or set force", err)
		}
	}
	id, err := t.Edit(ctx, *l, edit)
	if err != nil {
		return nil, err
	}
	out := ChangedLetter{Letter: id, Changed: id != l.ID}
	if out.Changed {
		out.Supersedes = l.ID
	}
	return &changedOutput{out}, nil
}

func (a *API) dropLetter(ctx context.Context, in *dropInput) (*changedOutput, error) {
	t, l, err := a.findLetter(ctx, &in.LetterPath)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(t.Drop(ctx, *l)...); err != nil {
		return nil, err
	}
	return &changedOutput{ChangedLetter{Letter: l.ID, Changed: true}}, nil
}
