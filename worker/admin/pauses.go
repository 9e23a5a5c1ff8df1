package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker"
)

// Pause is a pause that is in force.
type Pause struct {
	Topic      string    `json:"topic,omitempty" doc:"what is paused; absent: the whole group; $outbox: its outbox"`
	Until      time.Time `json:"until,omitzero" doc:"when it ends by itself; absent: it does not"`
	Reason     string    `json:"reason,omitempty"`
	By         string    `json:"by,omitempty"`
	Since      time.Time `json:"since"`
	Revision   uint64    `json:"revision,string" doc:"what If-Match takes, in quotes"`
	Unreadable bool      `json:"unreadable,omitempty" doc:"it cannot be read: pause or resume again"`
	Text       string    `json:"text" doc:"the same for people"`
}

func newPauses(paused []group.Paused) []Pause {
	out := make([]Pause, len(paused))
	for i := range paused {
		p := &paused[i]
		out[i] = Pause{
			Topic: p.Topic, Until: p.Until, Reason: p.Reason, By: p.By, Since: p.Since, Revision: p.Revision, Unreadable: p.Unreadable,
			Text: worker.DescribePause(p),
		}
	}
	return out
}

type pausesOutput struct {
	Body PauseList
}

// PauseList are the pauses of a group that are in force.
type PauseList struct {
	Group  string    `json:"group"`
	Pauses []Pause   `json:"pauses"`
	Now    time.Time `json:"now" doc:"by the clock that pauses are stamped with"`
}

func (a *API) registerPauses() {
	register(a, reading("list-pauses", "/v1/groups/{group}/pauses", tagGroups, "List the pauses of a group",
		"Those in force, with who made them and why.", http.StatusNotFound), a.listPauses)
	a.registerPauseChanges()
}

func (a *API) listPauses(ctx context.Context, in *GroupPath) (*pausesOutput, error) {
	status, err := a.conns.GroupStatus(ctx, in.Group)
	if err != nil {
		return nil, err
	}
	return &pausesOutput{PauseList{in.Group, newPauses(status.Pauses), status.Now}}, nil
}
