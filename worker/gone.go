package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/onceish/onceish/group"
)

// PauseWhenGone returns what pauses a topic in every process of the group when the endpoint that
// its events are posted to is gone for good, until somebody resumes it. It is for
// httphandler.Options.OnGone. It blocks as group.Pause does. A topic that is paused already stays
// as it is, and so does one for which somebody else asks for something meanwhile. An error says
// that the pause could not be stored; it is logged, and the next run that finds the endpoint gone
// tries again.
func (w *Worker) PauseWhenGone(topic string) func(ctx context.Context, endpoint string) error {
	return func(ctx context.Context, endpoint string) error {
		log := w.o.Logger.With("topic", topic, "group", w.group, "endpoint", endpoint)
		paused, err := w.pauseGone(ctx, topic, endpoint)
		switch {
		case err != nil:
			log.Error("endpoint is gone for good, but the topic cannot be paused; its events are retried", "error", err)
		case paused:
			log.Error("endpoint is gone for good; the topic is paused until it is resumed", "next", fmt.Sprintf("worker resume %s '%s'", w.group, topic))
		}
		return err
	}
}

// pauseGone reports whether it has paused the topic, and nobody before it. Of several processes
// whose runs find the endpoint gone at the same time, the one with the lease does.
func (w *Worker) pauseGone(ctx context.Context, topic, endpoint string) (paused bool, err error) {
	m := w.member.Load()
	if m == nil {
		return false, errNotJoined
	}
	release, ok, err := m.acquireLease(ctx, "gone."+topic)
	if err != nil || !ok {
		return false, err
	}
	defer release()
	pauses, err := group.Pauses(ctx, m.store, m.group)
	if err != nil {
		return false, err
	}
	if _, already := group.PauseFor(pauses, topic); already {
		return false, nil
	}
	_, err = group.Pause(ctx, m.store, m.group, group.Request{
		Topic: topic, By: "worker " + m.session.Status().ID,
		Reason: cutText(fmt.Sprintf("the endpoint %s is gone for good: correct the URL of the handler, or resume when it is back", endpoint), group.MaxReason),
	})
	switch {
	case errors.Is(err, group.ErrSuperseded):
		return false, nil // what others asked for holds
	case errors.Is(err, group.ErrUnconfirmed):
		return true, nil // it is stored, and holds for each process that reads it
	}
	return err == nil, err
}
