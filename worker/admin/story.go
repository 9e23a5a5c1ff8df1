package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/worker"
)

type storyInput struct {
	GroupPath
	OutboxQuery

	Topic      string `query:"topic" required:"true" doc:"topic of the event"`
	ID         string `query:"id" doc:"id of the event; one of id, sequence and letter is set"`
	Sequence   uint64 `query:"sequence" doc:"sequence of any copy of the event in its stream"`
	Letter     string `query:"letter" doc:"id of a dead letter of the event, also of one that is gone"`
	Source     string `query:"source" doc:"source of the event, where several events have the id"`
	From       string `query:"from" doc:"how far back the topic is read; empty: to where the store or a letter says that the event lies, or else to the earliest event"`
	DeadLetter string `query:"dead_letter" doc:"topic of the group's letters; empty: dead.GROUP"`
}

type storyOutput struct {
	Body *explain.Story
}

func (a *API) registerStory() {
	register(a, reading("explain-event", "/v1/groups/{group}/story", tagEvents, "Show what became of one event in a group",
		"One line for each thing that happened, with where it is known from; where the event stands, what it waits for, and what is not known. An id that "+
			"nothing is known of is no error: its state is \"not found\".", http.StatusNotFound, http.StatusConflict), a.explainEvent)
}

// explainGroup returns where the events of a group are looked up.
func (a *API) explainGroup(ctx context.Context, name string, o *worker.ExplainOptions) (*explain.Sources, error) {
	t := LetterTopic{GroupPath{name}, o.DeadLetter}
	if err := checkTopic("the dead-letter topic", t.name()); err != nil {
		return nil, err
	}
	return a.conns.Explain(ctx, name, o)
}

func (a *API) explainEvent(ctx context.Context, in *storyInput) (*storyOutput, error) {
	q := explain.Query{Topic: in.Topic, ID: in.ID, Source: in.Source, Sequence: in.Sequence, Letter: in.Letter}
	if err := checkTopic("topic", in.Topic); err != nil {
		return nil, err
	}
	named := 0
	for _, is := range []bool{q.ID != "", q.Sequence > 0, q.Letter != ""} {
		if is {
			named++
		}
	}
	switch {
	case named != 1:
		return nil, fmt.Errorf("%w: name the event by one of id, sequence and letter", errInvalid)
	case q.Source != "" && q.ID == "":
		return nil, fmt.Errorf("%w: source goes with the id of an event: leave it out", errInvalid)
	}
	var err error
	if q.From, err = parseTime("from", in.From, time.Now()); err != nil {
		return nil, err
	}
	sources, err := a.explainGroup(ctx, in.Group, &worker.ExplainOptions{DeadLetter: in.DeadLetter, Outbox: in.Collection})
	if err != nil {
		return nil, err
	}
	story, err := sources.Story(ctx, q)
	if err != nil {
		return nil, err
	}
	return &storyOutput{story}, nil
}
