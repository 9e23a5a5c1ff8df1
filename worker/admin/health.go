package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker"
)

// readiness is what was found when it was last looked at.
type readiness struct {
	at    time.Time
	lines []checked
}

// checked is what one check has found: a note, or why it failed.
type checked struct {
	name, note string
	err        error
}

// The time that checks take, and for which their results are taken.
const (
	checkTimeout   = 5 * time.Second
	checkFreshness = time.Second
)

// serveLiveness answers whether a restart of the process would help. It asks no server, and gives
// no reasons to those who have no token.
func (a *API) serveLiveness(w http.ResponseWriter) {
	if a.o.Stalled != nil && a.o.Stalled() != nil {
		writeText(w, http.StatusServiceUnavailable, "no progress: /readyz?verbose says why\n")
		return
	}
	writeText(w, http.StatusOK, "ok\n")
}

// serveReadiness answers whether this process is ready, with a line for each check where it is
// asked for verbosely.
func (a *API) serveReadiness(w http.ResponseWriter, r *http.Request) {
	found := a.readiness.Load()
	if found == nil || time.Since(found.at) > checkFreshness {
		ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
		defer cancel()
		found = &readiness{lines: a.runChecks(ctx)}
		found.at = time.Now()
		if r.Context().Err() == nil { // else it says nothing of the servers
			a.readiness.Store(found)
		}
	}
	lines := slices.Concat(found.lines, []checked{a.checkDraining()})
	status, text := http.StatusOK, "ok\n"
	for _, line := range lines {
		if line.err != nil {
			status, text = http.StatusServiceUnavailable, "not ready\n"
		}
	}
	if r.URL.Query().Has("verbose") {
		text = describeChecks(lines) + text
	}
	writeText(w, status, text)
}

func describeChecks(lines []checked) string {
	var text strings.Builder
	for _, line := range lines {
		switch {
		case line.err != nil:
			fmt.Fprintf(&text, "[-]%s failed: %s\n", line.name, strings.Join(strings.Fields(line.err.Error()), " "))
		case line.note != "":
			fmt.Fprintf(&text, "[+]%s ok: %s\n", line.name, line.note)
		default:
			fmt.Fprintf(&text, "[+]%s ok\n", line.name)
		}
	}
	return text.String()
}

func (a *API) checkDraining() checked {
	if a.isDraining() {
		return checked{name: "not draining", err: errors.New("the process drains")}
	}
	return checked{name: "not draining"}
}

// check finds a note, or why the process is not ready.
type check struct {
	name string
	find func(context.Context) (note string, err error)
}

func (a *API) runChecks(ctx context.Context) []checked {
	return runInTime(ctx, []check{
		{"nats", a.checkNATS},
		{"store", a.checkStore},
		{"streams", a.checkStreams},
		{"dead letters", a.checkLetters},
		{"progress", a.checkProgress},
		{"outbox", a.checkOutbox},
	})
}

// runInTime runs checks, and leaves those behind that are not over at the end of ctx: whatever asks
// the client of NATS waits for as long as that connects, whatever its context says.
func runInTime(ctx context.Context, checks []check) []checked {
	out := make([]checked, len(checks))
	var running sync.WaitGroup
	for i, c := range checks {
		answer := make(chan checked, 1)
		go func() {
			note, err := c.find(ctx)
			answer <- checked{c.name, note, err}
		}()
		running.Go(func() {
			select {
			case out[i] = <-answer:
			case <-ctx.Done():
				out[i] = checked{name: c.name, err: fmt.Errorf("there is no answer: %w", ctx.Err())}
			}
		})
	}
	running.Wait()
	return out
}

func (a *API) checkNATS(ctx context.Context) (string, error) {
	nc := a.conns.NATS()
	if nc == nil {
		return "the bus is another one", nil
	}
	if !nc.IsConnected() {
		return "", errors.New("the connection is down")
	}
	return "", nc.FlushWithContext(ctx)
}

func (a *API) checkStore(ctx context.Context) (string, error) {
	err := a.conns.PingStore(ctx)
	if errors.Is(err, worker.ErrNoMarks) {
		return "there are no marks yet", nil
	}
	return "", err
}

// checkStreams looks whether the group has a consumer, on whose stream its events are.
func (a *API) checkStreams(ctx context.Context) (string, error) {
	if a.o.Group == "" || a.conns.NATS() == nil {
		return "none are looked at", nil
	}
	topics, err := a.topicsOf(ctx, a.o.Group)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("group %q consumes from %d", a.o.Group, len(topics)), nil
}

// checkLetters looks whether the dead-letter topic can be read. That there are letters is no
// failure.
func (a *API) checkLetters(ctx context.Context) (string, error) {
	if a.o.Group == "" {
		return "none are looked at", nil
	}
	t, err := a.conns.DeadLetters(a.o.Group, "")
	if err != nil {
		return "", err
	}
	for l, err := range t.List(ctx, deadletter.Filter{Group: a.o.Group}, bus.Position{}) {
		switch {
		case err == nil:
			return "there are some, the oldest since " + l.Died.UTC().Format(time.RFC3339), nil
		case errors.Is(err, bus.ErrNoStream):
			return "there are none", nil
		case !deadletter.PassesOver(err):
			return "", err
		}
	}
	return "there are none", nil
}

// checkProgress fails where every process that is subscribed to a topic is unhealthy.
func (a *API) checkProgress(ctx context.Context) (string, error) {
	if a.o.Group == "" {
		return "none is looked at", nil
	}
	status, err := a.conns.GroupStatus(ctx, a.o.Group)
	if errors.Is(err, worker.ErrNoGroup) {
		return "nothing consumes as the group", nil
	}
	if err != nil {
		return "", err
	}
	return "", unhealthyTopics(status.Members)
}

// unhealthyTopics names the topics on which nobody makes progress.
func unhealthyTopics(members []group.Member) error {
	why, healthy := map[string]string{}, map[string]bool{}
	for i := range members {
		for _, s := range members[i].Subscriptions {
			if s.State == worker.StateUnhealthy {
				why[s.Topic] = s.Why
			} else {
				healthy[s.Topic] = true
			}
		}
	}
	var errs []error
	for topic, reason := range why {
		if !healthy[topic] {
			errs = append(errs, fmt.Errorf("%q: %s", topic, reason))
		}
	}
	return errors.Join(errs...)
}

func (a *API) checkOutbox(ctx context.Context) (string, error) {
	box, err := a.openOutbox(ctx, "")
	if errors.Is(err, worker.ErrNoOutbox) {
		return "there is none", nil
	}
	if err != nil {
		return "", err
	}
	dead, err := box.List(ctx, outbox.Filter{Status: outbox.Dead}, 1)
	if err != nil || len(dead) == 0 {
		return "", err
	}
	return "there are dead rows", nil
}
