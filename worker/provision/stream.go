package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/natsserver"
)

// streamPart is a stream, or that of a key-value bucket.
type streamPart struct {
	api  *streamAPI
	kind Kind
	name string
	want jetstream.StreamConfig // what is made where there is none
	// given are fields that the configuration names, and needed those without which the worker
	// cannot use it. Both hold for a stream that is there; it keeps its others.
	given, needed []string
}

func (p *streamPart) holds(field string) bool {
	return slices.Contains(p.given, field) || slices.Contains(p.needed, field)
}

// foundStream is a stream that is there.
type foundStream struct {
	stream jetstream.Stream
	info   *jetstream.StreamInfo
}

// countSubjects returns how many messages there are of each subject.
func (s *foundStream) countSubjects(ctx context.Context) (map[string]uint64, error) {
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return nil, err
	}
	return info.State.Subjects, nil
}

// examine implements part.
func (p *streamPart) examine(ctx context.Context) (Item, func(context.Context) error) {
	item := Item{Kind: p.kind, Name: p.name}
	if why := p.unsupported(); why != "" {
		item.Action, item.Why = Refuse, why
		return item, nil
	}
	found, err := p.api.find(ctx, p.want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		item.Action, item.Fields = Create, p.madeFields()
		return item, func(ctx context.Context) error { return p.api.create(ctx, p.want) }
	case err != nil:
		return item.refused(err), nil
	}
	e := p.compare(ctx, found)
	item.Fields = e.fields
	switch {
	case e.failed != nil:
		return item.refused(e.failed), nil
	case len(e.losses) > 0:
		item.Action, item.Why, item.Command = Refuse, strings.Join(e.losses, "; "), e.command()
		return item, nil
	case len(e.fields) == 0:
		item.Action = Keep
		return item, nil
	}
	item.Action = Change
	return item, func(ctx context.Context) error { return p.api.update(ctx, e.want) }
}

// unsupported is why the server is too old for the stream: it would make one, and drop what it does
// not know.
func (p *streamPart) unsupported() string {
	if version := p.api.nc.ConnectedServerVersion(); p.want.AllowMsgSchedules && natsserver.Older(version, natsbus.OldestScheduling) {
		return fmt.Sprintf("%s: this is nats-server %s, and events are scheduled from %s on: upgrade it, or schedule in an outbox",
			fieldSchedules, version, natsbus.OldestScheduling)
	}
	return ""
}

// refused is an item that could not be looked at.
func (i *Item) refused(err error) Item {
	i.Action, i.Why = Refuse, err.Error()
	return *i
}

// madeFields are those of a stream that is made: what the configuration names, and its replicas.
func (p *streamPart) madeFields() (made []Field) {
	for _, f := range streamFields() {
		if f.name == fieldReplicas || slices.Contains(p.given, f.name) {
			made = append(made, Field{Name: f.name, Want: f.show(&p.want)})
		}
	}
	return made
}

// streamEdit is what is to change of a stream.
type streamEdit struct {
	want   jetstream.StreamConfig
	fields []Field
	flags  []string
	losses []string // why it cannot be
	fixed  bool     // no server changes it
	failed error    // the stream could not be looked at
}

func (p *streamPart) compare(ctx context.Context, found *foundStream) (e streamEdit) {
	have := &found.info.Config
	e.want = p.wanted(have)
	for _, f := range streamFields() {
		if f.show(&e.want) == f.show(have) {
			continue
		}
		e.fields = append(e.fields, Field{f.name, f.show(have), f.show(&e.want)})
		if f.flag == nil {
			e.fixed = true
		} else {
			e.flags = append(e.flags, f.flag(&e.want))
		}
		if f.loss == nil {
			continue
		}
		loss, err := f.loss(ctx, found, &e.want)
		if e.failed = err; err != nil {
			return e
		}
		if loss != "" {
			e.losses = append(e.losses, f.name+": "+loss)
		}
	}
	if why := unchangeable(have); why != "" && len(e.fields) > 0 {
		e.losses = append(e.losses, why)
	}
	return e
}

// wanted is the configuration that a stream is to have: its own, with the fields that hold. The
// server takes no window for duplicates that is longer than the age.
func (p *streamPart) wanted(have *jetstream.StreamConfig) jetstream.StreamConfig {
	want := *have
	for _, f := range streamFields() {
		if p.holds(f.name) {
			f.copy(&want, &p.want)
		}
	}
	if have.AllowMsgSchedules { // for good: what is scheduled has to stay
		want.Subjects = append(natsbus.ScheduleSubjects(want.Subjects), want.Subjects...)
	}
	if want.MaxAge > 0 {
		want.Duplicates = min(want.Duplicates, want.MaxAge)
	}
	return want
}

// unchangeable is why a stream takes no change at all.
func unchangeable(c *jetstream.StreamConfig) string {
	switch {
	case c.Sealed:
		return "it is sealed"
	case c.Mirror != nil:
		return "it is a mirror of " + c.Mirror.Name
	}
	return ""
}

// command does what is refused or, where a server cannot, begins with a copy.
func (e *streamEdit) command() string {
	name := e.want.Name
	if e.fixed {
		return fmt.Sprintf("nats stream backup %s %s.backup", name, name)
	}
	return "nats stream edit " + name + " " + strings.Join(e.flags, " ")
}

// requestTime bounds each request: one that this user has no permission for is not answered.
const requestTime = 5 * time.Second
