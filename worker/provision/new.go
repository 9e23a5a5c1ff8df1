package provision

import (
	"cmp"
	"context"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

// planner knows what a configuration needs.
type planner struct {
	conns   *worker.Connections
	c       *config.Config
	section config.Provision
	bus     *natsbus.Bus // nil: the bus is another one, and needs no streams
	api     *streamAPI
}

func newPlanner(conns *worker.Connections, c *config.Config) (*planner, error) {
	js, err := conns.JetStream()
	if err != nil {
		return nil, err
	}
	b, _ := conns.Bus().(*natsbus.Bus)
	return &planner{
		conns: conns, c: c, section: *cmp.Or(c.Provision, &config.Provision{}), bus: b, api: &streamAPI{js, conns.NATS()},
	}, nil
}

// New looks at what the configuration needs, and returns what there is to do: the streams and
// buckets of its section provision; streams for topics, dead letters and what handlers publish,
// where there are none; the worker's buckets, or its collections with their indexes; and the
// consumers, which are left to the worker. It changes nothing. An error means that the connections
// cannot be used; what cannot be looked at is an item that says so. It does not retry.
func New(ctx context.Context, conns *worker.Connections, c *config.Config) (*Plan, error) {
	p, err := newPlanner(conns, c)
	if err != nil {
		return nil, err
	}
	var parts []part
	if p.bus != nil {
		buckets, err := p.buckets()
		if err != nil {
			return nil, err
		}
		parts = slices.Concat(p.streams(), p.topics(), buckets)
	}
	collections, err := p.collections(ctx)
	if err != nil {
		return nil, err
	}
	parts = append(parts, collections...)
	if p.bus != nil {
		parts = append(parts, p.consumers()...)
	}
	return examineParts(ctx, parts), nil
}

// streams are those of the section.
func (p *planner) streams() (parts []part) {
	for i := range p.section.Streams {
		want, given := p.streamConfig(&p.section.Streams[i])
		parts = append(parts, &streamPart{api: p.api, kind: KindStream, name: want.Name, want: want, given: given})
	}
	return parts
}

// streamConfig is the configuration that makes the stream, and the fields that somebody gave.
func (p *planner) streamConfig(s *config.Stream) (c jetstream.StreamConfig, given []string) {
	c = natsbus.StreamConfig(s.Subjects[0], &natsbus.Provision{
		Name: s.Name, Replicas: cmp.Or(s.Replicas, p.c.NATS.Replicas), MaxAge: max(s.MaxAge, 0), Duplicates: s.DuplicateWindow,
	})
	c.Subjects = s.Subjects
	if s.Schedules {
		c.Subjects = append(natsbus.ScheduleSubjects(s.Subjects), s.Subjects...)
		c.AllowMsgSchedules, c.AllowRollup = true, true
	}
	c.Storage = storageOf(s.Storage)
	if s.ByKey != "" {
		c.SubjectTransform = transformByKey(s.ByKey, p.c.PartitionsOf(s.ByKey))
	}
	switch s.Retention {
	case config.RetentionWorkQueue:
		c.Retention = jetstream.WorkQueuePolicy
	case config.RetentionInterest:
		c.Retention = jetstream.InterestPolicy
	}
	if s.Discard == config.DiscardNew {
		c.Discard = jetstream.DiscardNew
	}
	c.MaxBytes, c.MaxMsgs, c.MaxMsgsPerSubject = limitOf(s.MaxBytes), limitOf(s.MaxMessages), limitOf(s.MaxMessagesPerSubject)
	c.MaxMsgSize = int32(limitOf(s.MaxMessageBytes))
	return c, trueNames(map[string]bool{
		fieldSubjects: true, fieldByKey: s.ByKey != "", fieldStorage: s.Storage != "", fieldRetention: s.Retention != "", fieldDiscard: s.Discard != "",
		fieldMaxAge: s.MaxAge != 0, fieldMaxBytes: s.MaxBytes != 0, fieldMaxMsgs: s.MaxMessages != 0, fieldPerSubject: s.MaxMessagesPerSubject != 0,
		fieldMsgSize: s.MaxMessageBytes != 0, fieldReplicas: s.Replicas != 0, fieldDuplicates: s.DuplicateWindow != 0, fieldSchedules: s.Schedules,
	})
}

func storageOf(name string) jetstream.StorageType {
	if name == config.StorageMemory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// limitOf is a limit as the server has it.
func limitOf(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

// trueNames returns the names of what is true.
func trueNames(all map[string]bool) (names []string) {
	for name, is := range all {
		if is {
			names = append(names, name)
		}
	}
	return names
}
