package provision

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/shell"
	"github.com/onceish/onceish/worker/config"
)

// streamField is a part of a stream's configuration that can be asked for.
type streamField struct {
	name string
	// show is the value as people write it. Values that mean the same are shown the same.
	show func(*streamConfig) string
	// copy sets the value to that of another configuration.
	copy func(to, from *streamConfig)
	// flag of nats stream edit. Nil: a server does not change it.
	flag func(*streamConfig) string
	// loss is why the value cannot be set without a loss. Nil: there is never one.
	loss func(ctx context.Context, s *foundStream, want *streamConfig) (string, error)
}

// Names of fields that more than one place needs.
const (
	fieldSubjects   = "subjects"
	fieldByKey      = "by_key"
	fieldStorage    = "storage"
	fieldRetention  = "retention"
	fieldDiscard    = "discard"
	fieldMaxAge     = "max_age"
	fieldMaxBytes   = "max_bytes"
	fieldMaxMsgs    = "max_msgs"
	fieldPerSubject = "max_msgs_per_subject"
	fieldMsgSize    = "max_msg_size"
	fieldReplicas   = "replicas"
	fieldDuplicates = "duplicate_window"
	fieldMsgTTL     = "allow_msg_ttl"
	fieldDirect     = "allow_direct"
	fieldSchedules  = "allow_schedules"
)

// streamConfig is short for a type that is written often here.
type streamConfig = jetstream.StreamConfig

// streamFields are all of them, in the order in which they are shown.
func streamFields() []streamField {
	return slices.Concat(policyFields(), limitFields(), serverFields())
}

// policyFields say what a stream takes, where, and what it does with it.
func policyFields() []streamField {
	return []streamField{
		{
			fieldSubjects, func(c *streamConfig) string { return strings.Join(slices.Sorted(slices.Values(c.Subjects)), ", ") },
			func(to, from *streamConfig) { to.Subjects = from.Subjects },
			func(c *streamConfig) string { return "--subjects=" + shell.Quote(strings.Join(c.Subjects, ",")) }, removedSubjects,
		},
		byKeyField(),
		{
			fieldStorage, func(c *streamConfig) string { return strings.ToLower(c.Storage.String()) },
			func(to, from *streamConfig) { to.Storage = from.Storage }, nil, neverChanged,
		},
		{
			fieldRetention, func(c *streamConfig) string { return strings.ToLower(c.Retention.String()) },
			func(to, from *streamConfig) { to.Retention = from.Retention }, nil, neverChanged,
		},
		{
			fieldDiscard, showDiscard,
			func(to, from *streamConfig) { to.Discard = from.Discard },
			func(c *streamConfig) string { return "--discard=" + showDiscard(c) }, nil,
		},
	}
}

// serverFields say how servers keep and hand out what there is.
func serverFields() []streamField {
	return []streamField{
		{
			fieldReplicas, func(c *streamConfig) string { return strconv.Itoa(max(c.Replicas, 1)) },
			func(to, from *streamConfig) { to.Replicas = from.Replicas },
			func(c *streamConfig) string { return "--replicas=" + strconv.Itoa(c.Replicas) }, nil,
		},
		{
			fieldDuplicates, func(c *streamConfig) string { return config.FormatDuration(c.Duplicates) },
			func(to, from *streamConfig) { to.Duplicates = from.Duplicates },
			func(c *streamConfig) string { return "--dupe-window=" + c.Duplicates.String() }, nil,
		},
		{
			fieldMsgTTL, func(c *streamConfig) string { return strconv.FormatBool(c.AllowMsgTTL) },
			func(to, from *streamConfig) { to.AllowMsgTTL = from.AllowMsgTTL },
			func(*streamConfig) string { return "--allow-msg-ttl" }, nil,
		},
		{
			fieldDirect, func(c *streamConfig) string { return strconv.FormatBool(c.AllowDirect) },
			func(to, from *streamConfig) { to.AllowDirect = from.AllowDirect },
			func(*streamConfig) string { return "--no-allow-direct" }, nil,
		},
		{
			fieldSchedules, showSchedules,
			func(to, from *streamConfig) {
				to.AllowMsgSchedules = from.AllowMsgSchedules
				if from.AllowMsgSchedules { // the server needs them for it
					to.AllowRollup, to.DenyPurge = true, false
				}
			},
			func(*streamConfig) string { return "--allow-schedules" }, neverScheduled,
		},
	}
}

func showDiscard(c *streamConfig) string {
	if c.Discard == jetstream.DiscardNew {
		return config.DiscardNew
	}
	return config.DiscardOld
}

func showSchedules(c *streamConfig) string {
	if c.AllowMsgSchedules {
		return "true (for good: it can never be switched off)"
	}
	return "false"
}

// neverScheduled is why a stream cannot have schedules.
func neverScheduled(_ context.Context, s *foundStream, want *streamConfig) (string, error) {
	switch c := &s.info.Config; {
	case c.Mirror != nil || len(c.Sources) > 0:
		return "it copies other streams, and a server takes no schedules there: schedule in an outbox", nil
	case want.Discard == jetstream.DiscardNew:
		return "it refuses new messages when it is full (discard: new), and a server takes no schedules there: schedule in an outbox", nil
	case want.Retention == jetstream.InterestPolicy:
		return "it keeps what a consumer waits for, and none waits for a schedule, which would be lost: schedule in an outbox", nil
	}
	return "", nil
}

func neverChanged(context.Context, *foundStream, *streamConfig) (string, error) {
	return "the messages of a stream cannot be moved to another one in place: back it up, delete it, and provision it again", nil
}

// removedSubjects is why subjects cannot be taken from a stream: it has messages of them, and
// publishers that would lose their stream.
func removedSubjects(ctx context.Context, s *foundStream, want *streamConfig) (string, error) {
	if s.info.State.Msgs == 0 || len(removedFrom(s.info.Config.Subjects, want.Subjects)) == 0 {
		return "", nil
	}
	counts, err := s.countSubjects(ctx)
	for subject, n := range counts {
		if covered(subject, s.info.Config.Subjects) && !covered(subject, want.Subjects) {
			return fmt.Sprintf("it has %d messages of %q, which it would take no more of", n, subject), nil
		}
	}
	return "", err
}

// removedFrom returns the subjects that are not covered by the others.
func removedFrom(subjects, others []string) (removed []string) {
	for _, s := range subjects {
		if !covered(s, others) {
			removed = append(removed, s)
		}
	}
	return removed
}

func covered(subject string, by []string) bool {
	return slices.ContainsFunc(by, func(pattern string) bool { return bus.Match(pattern, subject) })
}
