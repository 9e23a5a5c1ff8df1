package bus

import (
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/onceish/onceish/internal/percent"
)

// MaxPartitions is how many partitions a topic may have.
const MaxPartitions = 1024

// Partition is one of the partitions of a topic. The zero Partition is none.
//
// Each has a topic of its own, such as "order.placed.of8.3": the logical topic, how many partitions
// there are, and its number. The layout is in it, so that two layouts share none. Below it lie
// events that a stream's subject transform has mapped, with their key as the rest of the topic:
// "order.placed.of8.3.customer-17". To a bus those are topics like others; a subscription to a
// partition's topic also covers what lies below it. A pattern covers partitions if it covers what
// lies below them, as "order.placed.of8.>" does. To consumers they are all the topic
// "order.placed", see LogicalTopic.
//
// Tokens of the form of<n>.<number> are therefore reserved in topics, where n is 1 to MaxPartitions
// and the number is below n, both without leading zeros.
type Partition struct {
	// Topic is the logical topic.
	Topic string
	// Of is how many partitions there are, and Number which of them it is, from 0.
	Of, Number int
}

// Name is the topic of the partition's events, and what a subscription names. That of the zero
// Partition is empty.
func (p Partition) Name() string {
	if p.Of == 0 {
		return p.Topic
	}
	b := make([]byte, 0, len(p.Topic)+len(".of1024.1023"))
	b = append(append(b, p.Topic...), ".of"...)
	b = append(strconv.AppendInt(b, int64(p.Of), 10), '.')
	return string(strconv.AppendInt(b, int64(p.Number), 10))
}

// ParsePartition returns the partition that a subject belongs to: its own, or one of an event that
// was mapped. It reports false for any other topic, and for patterns.
func ParsePartition(topic string) (Partition, bool) {
	p, _, ok := splitPartition(topic)
	return p, ok
}

// LogicalTopic is the topic that a subject is a partition of; any other topic is its own. It is
// what identifies an event together with its source and id, whatever the layout.
func LogicalTopic(topic string) string {
	if p, _, ok := splitPartition(topic); ok {
		return p.Topic
	}
	return topic
}

// PartitionKey returns the key in the subject of a mapped event, decoded. It reports false for any
// other topic. It is the Event.Key of an event that brings none.
func PartitionKey(topic string) (key string, ok bool) {
	_, token, ok := splitPartition(topic)
	if !ok || token == "" {
		return "", false
	}
	return decodeKeyToken(token), true
}

// splitPartition cuts a subject into its partition and the rest, without the dot between. The first
// tokens of the form of<n>.<number> count: so a logical topic has none.
func splitPartition(topic string) (p Partition, rest string, ok bool) {
	for from := 0; ; {
		at := strings.Index(topic[from:], ".of")
		if at < 0 {
			return Partition{}, "", false
		}
		at += from
		of, after, _ := strings.Cut(topic[at+len(".of"):], ".")
		number, rest, more := strings.Cut(after, ".")
		p = Partition{Topic: topic[:at], Of: parseCount(of), Number: parseCount(number)}
		switch {
		case p.Of < 1 || p.Of > MaxPartitions || p.Number < 0 || p.Number >= p.Of:
			from = at + 1
			continue
		case at == 0 || more && rest == "" || hasWildcard(topic):
			return Partition{}, "", false
		}
		return p, rest, true
	}
}

// parseCount reads a number as strconv.Itoa writes it, of at most four digits; -1: it is none.
func parseCount(token string) int {
	if token == "" || len(token) > 4 || token[0] == '0' && token != "0" {
		return -1
	}
	n := 0
	for i := range len(token) {
		if token[i] < '0' || token[i] > '9' {
			return -1
		}
		n = n*10 + int(token[i]-'0')
	}
	return n
}

// emptyKeyToken stands for the empty key, for a token cannot be empty. No other key has it: each
// '%' of theirs begins an encoding.
const emptyKeyToken = "%"

// KeyToken returns a key as one token of a subject: '.', '*', '>', '%', spaces and control
// characters are percent-encoded, and bytes that are not UTF-8. It is injective.
func KeyToken(key string) string {
	if key == "" {
		return emptyKeyToken
	}
	if utf8.ValidString(key) && !strings.ContainsRune(key, utf8.RuneError) {
		return percent.Encode(key, plainInToken)
	}
	return percent.Encode(key, func(c byte) bool { return c < utf8.RuneSelf && plainInToken(c) })
}

func plainInToken(c byte) bool {
	switch c {
	case '.', '*', '>', '%', 0x7f:
		return false
	}
	return c > ' '
}

// decodeKeyToken undoes KeyToken. What KeyToken has not written, and does not decode to text, is
// the key as it is.
func decodeKeyToken(token string) string {
	if token == emptyKeyToken {
		return ""
	}
	if key, err := url.PathUnescape(token); err == nil && utf8.ValidString(key) {
		return key
	}
	return strings.ToValidUTF8(token, "\uFFFD")
}

// PartitionOf returns in which of n partitions the events of a key are: the FNV-1a hash of 32 bits
// of KeyToken(key), modulo n. It is what NATS makes of that token in a subject transform with
// {{partition(n,1)}}. It is 0 where n is below 1.
func PartitionOf(key string, n int) int {
	if n < 1 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(KeyToken(key))) // It never fails.
	return int(h.Sum32() % uint32(n))     // #nosec G115 -- a hash modulo a small number
}

// ValidPartitions says why a topic cannot have n partitions.
func ValidPartitions(n int) error {
	if n < 1 || n > MaxPartitions {
		return fmt.Errorf("%d partitions: there must be 1 to %d", n, MaxPartitions)
	}
	return nil
}

// keylessToken ends the subject of a partition's events that have no key in theirs.
const keylessToken = "." + emptyKeyToken

// SubjectOf is for implementers of a bus. It returns the subject under which an event of a topic is
// stored: the topic, and for that of a partition one token below it, where mapped events lie as
// well. So all events of a partition match one pattern; see FilterOf.
func SubjectOf(topic string) string {
	if isPartition(topic) {
		return topic + keylessToken
	}
	return topic
}

// TopicOf undoes SubjectOf.
func TopicOf(subject string) string {
	if topic, ok := strings.CutSuffix(subject, keylessToken); ok && isPartition(topic) {
		return topic
	}
	return subject
}

// FilterOf is for implementers of a bus. It returns the pattern of the subjects that a subscription
// to a topic, or a pattern of topics, covers: what lies below the topic of a partition, and nothing
// else. Any other topic covers itself.
func FilterOf(topic string) string {
	if isPartition(topic) {
		return topic + ".>"
	}
	return topic
}

// PartitionsOf is for implementers of a bus. It returns the pattern of the subjects of all
// partitions of a topic, in every layout, and of others that have as many tokens.
func PartitionsOf(topic string) string { return topic + ".*.*.>" }

func isPartition(topic string) bool {
	_, rest, ok := splitPartition(topic)
	return ok && rest == ""
}
