package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/view"
)

// LetterFilter selects dead letters, in queries and in bodies.
type LetterFilter struct {
	ID     string `query:"id" json:"id,omitempty" doc:"id of the letter, or of the event"`
	Topic  string `query:"topic" json:"topic,omitempty" doc:"topic of the event, or a pattern" example:"order.>"`
	Type   string `query:"type" json:"type,omitempty" doc:"type of the event"`
	Error  string `query:"error" json:"error,omitempty" doc:"a part of the error"`
	Reason string `query:"reason" json:"reason,omitempty" doc:"a part of the reason"`
	Data   string `query:"data" json:"data,omitempty" doc:"a part of the event's data"`
	Since  string `query:"since" json:"since,omitempty" doc:"stored at or after this time"`
	Until  string `query:"until" json:"until,omitempty" doc:"stored before this time"`
}

// String returns the members that are set, as in `topic="order.>" error="timeout"`.
func (f *LetterFilter) String() string {
	var set []string
	for _, m := range []struct{ name, value string }{
		{"id", f.ID},
		{"topic", f.Topic},
		{"type", f.Type},
		{"error", f.Error},
		{"reason", f.Reason},
		{"data", f.Data},
		{"since", f.Since},
		{"until", f.Until},
	} {
		if m.value != "" {
			set = append(set, fmt.Sprintf("%s=%q", m.name, m.value))
		}
	}
	return strings.Join(set, " ")
}

func (f *LetterFilter) parse(group string) (deadletter.Filter, error) {
	out := deadletter.Filter{Group: group, ID: f.ID, Topic: f.Topic, Type: f.Type, Error: f.Error, Reason: f.Reason, Data: f.Data}
	if f.Topic != "" {
		if err := checkPattern(f.Topic); err != nil {
			return out, err
		}
	}
	var since, until error
	now := time.Now()
	out.Since, since = parseTime("since", f.Since, now)
	out.Until, until = parseTime("until", f.Until, now)
	if err := errors.Join(since, until); err != nil {
		return out, err
	}
	if !out.Until.IsZero() && !out.Since.Before(out.Until) {
		return out, fmt.Errorf("%w: since is not before until", errInvalid)
	}
	return out, nil
}

// LetterTopic names the dead-letter topic of a group.
type LetterTopic struct {
	GroupPath

	DeadLetter string `query:"dead_letter" doc:"topic of the letters; empty: dead.GROUP"`
}

func (t *LetterTopic) name() string { return cmp.Or(t.DeadLetter, "dead."+t.Group) }

type lettersInput struct {
	LetterTopic
	LetterFilter
	PageQuery

	Edits bool `query:"edits" doc:"1: look for the edits of the letters (superseded_by), for which all later letters are read"`
}

type lettersOutput struct {
	Link string `header:"Link" doc:"rel=next: the next page"`
	Body LetterPage
}

// LetterPage is a page of dead letters, the oldest first.
type LetterPage struct {
	Topic   string        `json:"topic"`
	Letters []view.Letter `json:"letters"`
	Next    string        `json:"next,omitempty" doc:"position for after; absent: there are no more letters"`
	Skipped int           `json:"skipped" doc:"events that were passed over: they are no letters, or have lost a part"`
}

type causesInput struct {
	LetterTopic
	LetterFilter
}

type causesOutput struct {
	Body CauseList
}

// CauseList are dead letters counted by their errors, the most frequent first.
type CauseList struct {
	Topic   string       `json:"topic"`
	Errors  []view.Cause `json:"errors"`
	Skipped int          `json:"skipped" doc:"events that were passed over: they are no letters, or have lost a part"`
}

// LetterPath names a dead letter.
type LetterPath struct {
	LetterTopic

	ID string `path:"id" minLength:"1" maxLength:"4096" doc:"id of the letter, or of an event with one letter; / is written %2F"`
}

type letterInput struct {
	LetterPath
	PayloadQuery
}

type letterOutput struct {
	Body view.WholeLetter
}

func (a *API) registerLetters() {
	register(a, reading("list-dead-letters", "/v1/groups/{group}/dead-letters", tagLetters, "List dead letters",
		"The oldest first. Pages neither skip nor repeat a letter, also when letters are stored, redriven or dropped between them.", http.StatusNotFound, http.StatusGone), a.listLetters)
	register(a, reading("count-dead-letters", "/v1/groups/{group}/dead-letter-errors", tagLetters, "Count dead letters by their errors",
		"It reads all of them.", http.StatusNotFound), a.countLetters)
	register(a, reading("show-dead-letter", "/v1/groups/{group}/dead-letters/{id}", tagLetters, "Show a dead letter",
		"With its failed attempts, and with its event where payload=1.", http.StatusNotFound, http.StatusConflict), a.showLetter)
}

// openLetters returns the dead-letter topic.
func (a *API) openLetters(t *LetterTopic) (*deadletter.Topic, error) {
	if err := checkTopic("the dead-letter topic", t.name()); err != nil {
		return nil, err
	}
	return a.conns.DeadLetters(t.Group, t.DeadLetter)
}

// withoutStream is an empty answer where a group that is there has never given anything up.
func (a *API) withoutStream(ctx context.Context, t *LetterTopic, err error) error {
	if !errors.Is(err, bus.ErrNoStream) {
		return err
	}
	topics, groupsErr := a.topicsOf(ctx, t.Group)
	switch {
	case groupsErr != nil:
		return groupsErr
	case len(topics) == 0 || t.DeadLetter != "":
		return fmt.Errorf("%w: there is no %s: the group %q has given nothing up, its letters are on another topic (dead_letter), or its name is another one: %w",
			worker.ErrNoGroup, t.name(), t.Group, err)
	}
	return nil
}

func (a *API) listLetters(ctx context.Context, in *lettersInput) (*lettersOutput, error) {
	f, err := in.parse(in.Group)
	if err != nil {
		return nil, err
	}
	after, err := parsePosition("after", in.After)
	if err != nil {
		return nil, err
	}
	t, err := a.openLetters(&in.LetterTopic)
	if err != nil {
		return nil, err
	}
	page, err := t.Page(ctx, f, after, in.Limit)
	if err == nil && in.Edits {
		err = t.FindEdits(ctx, page.Letters)
	}
	if err := a.withoutStream(ctx, &in.LetterTopic, err); err != nil {
		return nil, err
	}
	out := &lettersOutput{Body: LetterPage{Topic: in.name(), Letters: view.NewLetters(page.Letters), Next: page.Next.String(), Skipped: page.Skipped}}
	if out.Body.Next != "" {
		out.Link = in.nextLink(out.Body.Next)
	}
	return out, nil
}

// nextLink refers to the same list with another page.
func (in *lettersInput) nextLink(next string) string {
	q := url.Values{"limit": {strconv.Itoa(in.Limit)}, "after": {next}}
	if in.Edits {
		q.Set("edits", "1")
	}
	for name, value := range map[string]string{
		"id": in.ID, "topic": in.Topic, "type": in.Type, "error": in.Error, "reason": in.Reason, "data": in.Data, "since": in.Since, "until": in.Until,
		"dead_letter": in.DeadLetter,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return "<?" + q.Encode() + `>; rel="next"`
}

func (a *API) countLetters(ctx context.Context, in *causesInput) (*causesOutput, error) {
	f, err := in.parse(in.Group)
	if err != nil {
		return nil, err
	}
	t, err := a.openLetters(&in.LetterTopic)
	if err != nil {
		return nil, err
	}
	causes, skipped, err := t.CountByError(ctx, f)
	if err := a.withoutStream(ctx, &in.LetterTopic, err); err != nil {
		return nil, err
	}
	return &causesOutput{CauseList{in.name(), view.NewCauses(causes), skipped}}, nil
}

func (a *API) showLetter(ctx context.Context, in *letterInput) (*letterOutput, error) {
	t, err := a.openLetters(&in.LetterTopic)
	if err != nil {
		return nil, err
	}
	l, err := t.Find(ctx, in.Group, in.ID)
	if err != nil {
		return nil, err
	}
	out := view.NewWholeLetter(l)
	if !in.Payload {
		out.Payload = view.Payload{}
	}
	return &letterOutput{out}, nil
}
