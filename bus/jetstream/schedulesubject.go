package jetstream

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/percent"
)

// schedulePrefix begins the subject of every schedule: outside of the topics, so that no group
// receives one.
const schedulePrefix = "onceish-schedule."

// ScheduleSubjects returns the subjects that a stream of these subjects takes beside them for
// schedules of its events, but for those that it takes already.
func ScheduleSubjects(subjects []string) (all []string) {
	for _, s := range subjects {
		covered := func(by string) bool { return bus.Match(by, scheduleSubjectOf(s)) }
		if strings.HasPrefix(s, schedulePrefix) || slices.ContainsFunc(subjects, covered) || slices.ContainsFunc(all, covered) {
			continue
		}
		all = append(all, scheduleSubjectOf(s))
	}
	return all
}

// scheduleSubjectOf is the pattern of the schedules of a topic's events; the topic may be a
// pattern.
func scheduleSubjectOf(topic string) string {
	if topic == allSubjects || strings.HasSuffix(topic, "."+allSubjects) {
		return schedulePrefix + topic
	}
	return schedulePrefix + topic + ".*"
}

// scheduleSubject is the subject of one event's schedule. It is injective.
func scheduleSubject(topic, identity string) string {
	return schedulePrefix + topic + "." + scheduleToken(identity)
}

// maxScheduleToken bounds the last token of a schedule's subject, in bytes. A longer one is hashed,
// which no encoded text looks like.
const maxScheduleToken = 200

func scheduleToken(identity string) string {
	token := percent.Encode(identity, func(c byte) bool { return percent.LetterOrDigit(c) || c == '-' || c == '_' || c == ':' })
	if len(token) <= maxScheduleToken {
		return token
	}
	sum := sha256.Sum256([]byte(identity))
	return "%sha256-" + hex.EncodeToString(sum[:])
}
