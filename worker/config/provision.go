package config

import (
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// Provision is what streams and buckets are to be, for worker provision.
type Provision struct {
	// Streams are made or changed; their subjects do not overlap.
	Streams []Stream
	Buckets Buckets
}

// Stream is what a stream of JetStream is to be. The zero value of a field means that nobody said:
// a stream that is there keeps its own, and one that is made gets the default.
type Stream struct {
	Name     string
	Subjects []string
	// ByKey is a topic that others publish to as TOPIC.by.KEY: the stream stores such an event in
	// the partition of its key. Empty: there is none.
	ByKey string
	// Storage is StorageFile or StorageMemory. Default: StorageFile.
	Storage string
	// Retention is RetentionLimits, RetentionWorkQueue or RetentionInterest. Default:
	// RetentionLimits.
	Retention string
	// Discard is DiscardOld or DiscardNew. Default: DiscardOld.
	Discard string
	// MaxAge, MaxBytes, MaxMessages, MaxMessagesPerSubject and MaxMessageBytes bound what the
	// stream keeps. Default: Unlimited.
	MaxAge                                                        time.Duration
	MaxBytes, MaxMessages, MaxMessagesPerSubject, MaxMessageBytes int64
	// Replicas are 1 to 5. Default: NATS.Replicas, or 1.
	Replicas int
	// DuplicateWindow is how long the server recognises what is published twice. Default: what
	// the worker gives the streams that it makes.
	DuplicateWindow time.Duration
	// Schedules lets events be scheduled for later. False: a stream that is there keeps its own,
	// for it can never be switched off.
	Schedules bool
}

// Unlimited is a limit of a Stream or a Bucket that somebody took away.
const Unlimited = -1

// Values of Stream.Storage, Retention and Discard.
const (
	StorageFile        = "file"
	StorageMemory      = "memory"
	RetentionLimits    = "limits"
	RetentionWorkQueue = "workqueue"
	RetentionInterest  = "interest"
	DiscardOld         = "old"
	DiscardNew         = "new"
)

// Buckets are the key-value buckets of a worker: what it remembers of events (where no MongoDB
// does), its members, its groups, and shared limits (where they are not in MongoDB).
type Buckets struct{ Marks, Members, Groups, Limits Bucket }

// Bucket is what a key-value bucket is to be. The zero value of a field means that nobody said, as
// in a Stream.
type Bucket struct {
	// Storage is StorageFile or StorageMemory. Default: StorageFile.
	Storage string
	// MaxBytes bounds the bucket, which refuses rows when it is full. Default: Unlimited.
	MaxBytes int64
	// Replicas are 1 to 5. Default: NATS.Replicas, or 1.
	Replicas int
}

const keepsOwn = ", or what is there"

func provisionKeys() []field[Provision] {
	bucket := func(name, meaning string, at func(*Buckets) *Bucket) field[Buckets] {
		return objectField(name, meaning, at, bucketKeys()...)
	}
	return []field[Provision]{
		optionalListField("streams", "streams to make, or to change; their subjects must not overlap", func(p *Provision) *[]Stream { return &p.Streams }, streamKeys()...),
		objectField("buckets", "key-value buckets that the worker uses", func(p *Provision) *Buckets { return &p.Buckets },
			bucket("marks", "what was handled, where no MongoDB remembers it", func(b *Buckets) *Bucket { return &b.Marks }),
			bucket("members", "the processes of groups", func(b *Buckets) *Bucket { return &b.Members }),
			bucket("groups", "pauses of groups", func(b *Buckets) *Bucket { return &b.Groups }),
			bucket("limits", "rates that are shared, where they are not in MongoDB", func(b *Buckets) *Bucket { return &b.Limits })),
	}
}

func streamKeys() []field[Stream] {
	type s = Stream
	return []field[Stream]{
		patternField("name", "the name of a stream, which has no spaces, dots, '*', '>', '/' or '\\'", func(s *s) *string { return &s.Name }, nameForm).
			markRequired().describedAs("name of the stream"),
		subjectsField("subjects", "topics or patterns that the stream takes: all of them", func(s *s) *[]string { return &s.Subjects }),
		topicField("by_key", func(s *s) *string { return &s.ByKey }).withDefaultText("none" + keepsOwn).
			describedAs("a topic with partitions whose foreign publishers cannot compute them: what is published to TOPIC.by.KEY is stored in the partition of KEY"),
		storageField(func(s *s) *string { return &s.Storage }),
		enumField("retention", func(s *s) *string { return &s.Retention }, selfNamed(RetentionLimits, RetentionWorkQueue, RetentionInterest)...).
			withoutDefault(RetentionLimits + keepsOwn).describedAs("what is kept: all within the limits; what no group has acknowledged; or what a group waits for"),
		enumField("discard", func(s *s) *string { return &s.Discard }, selfNamed(DiscardOld, DiscardNew)...).
			withoutDefault(DiscardOld + keepsOwn).describedAs("what a full stream does: delete the oldest events, or refuse new ones"),
		orUnlimited(durationField("max_age", func(s *s) *time.Duration { return &s.MaxAge }, between[time.Duration](100*time.Millisecond, 3650*day))).
			describedAs("after how long events are deleted"),
		orUnlimited(sizeField("max_bytes", func(s *s) *int64 { return &s.MaxBytes }, maxStreamBytes)).describedAs("how large the stream may get"),
		orUnlimited(countField("max_msgs", func(s *s) *int64 { return &s.MaxMessages })).describedAs("how many events it may have"),
		orUnlimited(countField("max_msgs_per_subject", func(s *s) *int64 { return &s.MaxMessagesPerSubject })).describedAs("how many events of one topic it may have"),
		orUnlimited(sizeField("max_msg_size", func(s *s) *int64 { return &s.MaxMessageBytes }, maxMessageBytes)).describedAs("how large an event may be"),
		replicasField(func(s *s) *int { return &s.Replicas }),
		durationField("duplicate_window", func(s *s) *time.Duration { return &s.DuplicateWindow }, between[time.Duration](100*time.Millisecond, 3650*day)).
			withDefaultText("2m, or max_age if that is shorter" + keepsOwn).
			describedAs("how long the server recognises an event that is published twice; no longer than max_age"),
		boolField("allow_schedules", func(s *s) *bool { return &s.Schedules }).
			describedAs("let events be scheduled for later (worker publish --in, bus.Scheduler); servers from 2.12 on; it can never be switched off"),
	}
}

func bucketKeys() []field[Bucket] {
	return []field[Bucket]{
		storageField(func(b *Bucket) *string { return &b.Storage }),
		orUnlimited(sizeField("max_bytes", func(b *Bucket) *int64 { return &b.MaxBytes }, maxStreamBytes)).describedAs("how large the bucket may get; a full one refuses rows"),
		replicasField(func(b *Bucket) *int { return &b.Replicas }),
	}
}

func storageField[S any](at func(*S) *string) field[S] {
	return enumField("storage", at, selfNamed(StorageFile, StorageMemory)...).withoutDefault(StorageFile + keepsOwn).
		describedAs("where it is kept; what is in memory is gone when its servers restart")
}

func replicasField[S any](at func(*S) *int) field[S] {
	return intField("replicas", at, between(1, 5)).withDefaultText("nats.replicas, or 1" + keepsOwn).describedAs("servers that have a copy")
}

func between[T int | time.Duration](least, most T) consumer.Limit[T] {
	return consumer.Limit[T]{Min: least, Max: most}
}

// checkProvision refuses streams that a server refuses, and such as the subscriptions cannot use.
func (c *Config) checkProvision(r *configReader) {
	if c.Provision == nil {
		return
	}
	for i := range c.Provision.Streams {
		s, at := &c.Provision.Streams[i], entryPath("provision.streams", i)
		c.checkStreamNames(r, i)
		c.checkByKey(r, i)
		c.checkTakesPartitions(r, i)
		for j := range s.Subjects {
			c.checkSubject(r, i, j)
		}
		window, age := at+".duplicate_window", at+".max_age"
		if p, ok := r.firstGiven(window, age); ok && s.MaxAge > 0 && s.DuplicateWindow > s.MaxAge {
			r.reportMistake(p, "duplicate_window is %s, longer than max_age %s: lower the first or raise the second",
				r.shownDuration(window, s.DuplicateWindow), r.shownDuration(age, s.MaxAge))
		}
		s.checkSchedules(r, at)
		for j := range c.Subscriptions {
			s.checkSubscription(r, at, &c.Subscriptions[j], entryPath(string(SectionSubscriptions), j))
		}
	}
}

// checkSchedules refuses schedules in a stream where a server takes none, or loses them.
func (s *Stream) checkSchedules(r *configReader, at string) {
	schedules := at + ".allow_schedules"
	switch {
	case !s.Schedules || r.hasMistake[schedules]:
	case s.Discard == DiscardNew:
		r.reportMistake(schedules, "the stream refuses events when it is full (discard: new), and a server takes no schedules there: write discard: old, or schedule in an outbox")
	case s.Retention == RetentionInterest:
		r.reportMistake(schedules, "the stream keeps what a group waits for (retention: interest), and none waits for a schedule, which would be lost: give it another retention, or schedule in an outbox")
	}
}

// checkStreamNames refuses a name that is there twice.
func (c *Config) checkStreamNames(r *configReader, i int) {
	all, name := c.Provision.Streams, entryPath("provision.streams", i)+".name"
	first := slices.IndexFunc(all, func(s Stream) bool { return s.Name == all[i].Name })
	if first < i && !r.hasMistake[name] && all[i].Name != "" {
		r.reportMistake(name, "%s is the name of provision.streams[%d] too: join them, or choose another name", r.shownValue(name, quoteShort(all[i].Name)), first)
	}
}

// checkSubject refuses a subject that another one before it overlaps with, in any stream.
func (c *Config) checkSubject(r *configReader, i, j int) {
	all := c.Provision.Streams
	subject, at := all[i].Subjects[j], entryPath(entryPath("provision.streams", i)+".subjects", j)
	for k := range i + 1 {
		for l, other := range all[k].Subjects {
			if k == i && l == j {
				return
			}
			if otherAt := entryPath(entryPath("provision.streams", k)+".subjects", l); !r.hasMistake[at] && !r.hasMistake[otherAt] && bus.Overlap(subject, other) {
				r.reportMistake(at, "%s overlaps with %s of provision.streams[%d]: an event would be stored twice; remove one",
					r.shownValue(at, quoteShort(subject)), r.shownValue(otherAt, quoteShort(other)), k)
				return
			}
		}
	}
}

// checkSubscription refuses a stream that a subscription cannot use.
func (s *Stream) checkSubscription(r *configReader, at string, sub *Subscription, subAt string) {
	retention, age, letters := at+".retention", at+".max_age", subAt+".dead_letter"
	deletesRead := s.Retention == RetentionWorkQueue || s.Retention == RetentionInterest
	if deletesRead && !r.hasMistake[letters] && s.takes(sub.DeadLetter) {
		r.reportMistake(retention, "the stream takes dead letters, on %s, and %s deletes them as they are read: give them a stream with retention limits",
			r.shownValue(letters, quoteShort(sub.DeadLetter)), r.shownValue(retention, s.Retention))
	}
	if r.hasMistake[subAt+".topic"] || !s.takes(sub.Topic) {
		return
	}
	if start := subAt + ".start"; s.Retention == RetentionWorkQueue && sub.Start != (bus.Start{}) && !r.hasMistake[start] {
		r.reportMistake(start, "%s is in a work queue, which can only be read from its start: write start: earliest, or give the stream another retention",
			r.shownValue(subAt+".topic", quoteShort(sub.Topic)))
	}
	horizon := (&consumer.Options{AckWait: sub.AckWait, Backoff: consumer.Backoff{Max: sub.Backoff.Max}, RunLimit: sub.RunLimit}).Horizon()
	if s.MaxAge > 0 && s.MaxAge < horizon && r.isGivenValid(age) {
		r.reportWarning(age, "max_age is %s, but an event of %s may be retried after %s: the stream may delete it before",
			r.shownDuration(age, s.MaxAge), r.shownValue(subAt+".topic", quoteShort(sub.Topic)), FormatDuration(horizon))
	}
}

// takes reports whether some of what is published to a topic is stored in the stream.
func (s *Stream) takes(topic string) bool {
	return slices.ContainsFunc(s.Subjects, func(subject string) bool {
		return bus.ValidPattern(subject) == nil && bus.ValidPattern(topic) == nil && bus.Overlap(subject, topic)
	})
}
