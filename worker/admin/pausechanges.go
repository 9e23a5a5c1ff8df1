package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

type pauseInput struct {
	GroupPath

	IfMatch string `header:"If-Match" doc:"revision of the pause to be changed, in quotes; where it is another one by now, nothing is changed (412)" example:"\"17\""`
	Body    PauseRequest
}

// PauseRequest is what is to be paused or resumed.
type PauseRequest struct {
	Why

	Topic  string `json:"topic,omitempty" doc:"a topic of the group, as it is subscribed to; absent: the whole group"`
	Outbox bool   `json:"outbox,omitempty" doc:"its outbox alone"`
	For    string `json:"for,omitempty" doc:"how long to pause, 1s to 30d; absent: until it is resumed" example:"30m"`
}

func (in *pauseInput) why() *Why { return &in.Body.Why }

func (in *pauseInput) target() string {
	switch {
	case in.Body.Outbox:
		return "outbox of group " + in.Group
	case in.Body.Topic != "":
		return "topic " + in.Body.Topic + " of group " + in.Group
	}
	return "group " + in.Group
}

// request is the pause that is asked for.
func (in *pauseInput) request() (r group.Request, err error) {
	b := &in.Body
	r = group.Request{Topic: b.Topic, Reason: b.Reason, By: b.By}
	if b.Outbox {
		if b.Topic != "" {
			return r, fmt.Errorf("%w: outbox and topic are both set: leave one of them out", errInvalid)
		}
		r.Topic = group.Outbox
	}
	if b.For != "" {
		if r.For, err = config.ParseDuration(b.For); err != nil || r.For < group.MinPause || r.For > group.MaxPause {
			return r, fmt.Errorf("%w: for is %.64q: it must be a duration from 1s to 30d", errInvalid, b.For)
		}
	}
	if in.IfMatch != "" {
		text := strings.Trim(in.IfMatch, `"`)
		if r.IfRevision, err = strconv.ParseUint(text, 10, 64); err != nil || r.IfRevision == 0 {
			return r, fmt.Errorf("%w: If-Match is %.64q: it must be the revision of a pause, in quotes", errInvalid, in.IfMatch)
		}
	}
	return r, nil
}

type pauseOutput struct {
	ETag string `header:"ETag" doc:"its revision, for If-Match"`
	Body PauseResult
}

// PauseResult is what became of a pause or a resume.
type PauseResult struct {
	Group     string    `json:"group"`
	Topic     string    `json:"topic,omitempty"`
	Revision  uint64    `json:"revision,string"`
	Until     time.Time `json:"until,omitzero" doc:"when the pause ends by itself; absent: it does not"`
	Confirmed []Member  `json:"confirmed" doc:"the processes that have applied it"`
	Missing   []Member  `json:"missing" doc:"the live processes that have not: they do as soon as they reach the server"`
	Gone      []Member  `json:"gone" doc:"processes that went before they had confirmed"`
	Complete  bool      `json:"complete" doc:"every live process has confirmed"`
	Warnings  []string  `json:"warnings"`
}

func (a *API) registerPauseChanges() {
	registerChange(a, changingBy(http.MethodPost, "pause", "/v1/groups/{group}/pause", tagGroups, "Pause a group, a topic or an outbox",
		"What runs finishes, and nothing new starts, in any process of the group, also in those that are started later. It waits up to 12 seconds until every "+
			"process has confirmed.", http.StatusConflict, http.StatusPreconditionFailed), a.pause)
	registerChange(a, changingBy(http.MethodPost, "resume", "/v1/groups/{group}/resume", tagGroups, "End a pause",
		"It ends the pause of the same scope. What still holds starts back is among the warnings.", http.StatusConflict, http.StatusPreconditionFailed), a.resume)
}

func (a *API) pause(ctx context.Context, in *pauseInput) (*pauseOutput, error) {
	return changePause(ctx, in, a.conns.PauseGroup)
}

func (a *API) resume(ctx context.Context, in *pauseInput) (*pauseOutput, error) {
	return changePause(ctx, in, a.conns.ResumeGroup)
}

func changePause(ctx context.Context, in *pauseInput, change func(context.Context, string, group.Request) (worker.PauseResult, error)) (*pauseOutput, error) {
	r, err := in.request()
	if err != nil {
		return nil, err
	}
	result, err := change(ctx, in.Group, r)
	if err != nil && !errors.Is(err, group.ErrUnconfirmed) {
		return nil, err
	}
	return &pauseOutput{strconv.Quote(strconv.FormatUint(result.Revision, 10)), PauseResult{
		Group: in.Group, Topic: r.Topic, Revision: result.Revision, Until: result.Until, Confirmed: newMembers(result.Confirmed),
		Missing: newMembers(result.Missing), Gone: newMembers(result.Gone), Complete: err == nil, Warnings: append([]string{}, result.Warnings...),
	}}, nil
}
