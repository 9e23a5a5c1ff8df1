package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/onceish/onceish/bus"
)

// maxMemberName is how long the name of a group's member may be, in bytes.
const maxMemberName = 256

// memberNameField is the name of a process in its group.
func memberNameField[S any](name string, at func(*S) *string) *scalarField[S, string] {
	const wants = "a name of at most 256 bytes without control characters, such as billing-0"
	l := textField(name, wants, at, func(s string) error {
		if len(s) > maxMemberName || strings.ContainsFunc(s, unicode.IsControl) {
			return fmt.Errorf("%s is not %s", quoteShort(s), wants)
		}
		return nil
	})
	return l
}

// topicPartitions is a mapping from topics to numbers of partitions.
type topicPartitions[S any] struct {
	fieldInfo
	at func(*S) *map[string]int
}

// topicPartitionsField is how many partitions topics have. A flag gives it as TOPIC=N, several
// separated by commas.
func topicPartitionsField[S any](name string, at func(*S) *map[string]int) *topicPartitions[S] {
	number := intField("", func(n *int) *int { return n }, between(1, bus.MaxPartitions))
	return &topicPartitions[S]{
		fieldInfo: fieldInfo{
			name: name, kind: "mapping of topics to numbers", bounds: number.bounds, expected: number.expected,
			meaning:     "in how many partitions this process publishes to topics: by its outbox, its handlers and its programs; as many as the topic's readers have in order: partitions:N",
			defaultText: "none", flag: "partitions", placeholder: "TOPIC=N", env: "ONCEISH_PARTITIONS",
			anyKeys: true, yamlTags: number.yamlTags, valid: number.valid, jsonShape: number.jsonShape, keyShape: map[string]any{"minLength": 1},
		},
		at: at,
	}
}

func (*topicPartitions[S]) setDefaults(*S) {}

func (t *topicPartitions[S]) readNode(r *configReader, at string, n *yaml.Node, s *S) {
	r.recordOrigin(at, n)
	all := make(map[string]int)
	for _, p := range r.mappingEntries(at, n, "put topics and their numbers of partitions below it, such as {order.placed: 8}") {
		if err := validPartitioned(p.name); err != nil {
			r.reportMistakeAt(at, valueOrigin{line: p.key.Line, column: p.key.Column}, "%v", err)
			continue
		}
		path := joinPath(at, p.name)
		text, ok := r.scalarText(path, p.value, &t.fieldInfo)
		if !ok {
			continue
		}
		if err := t.valid(text); err != nil {
			if o := r.origins[path]; o.isHidden() {
				err = fmt.Errorf("%s is not %s", o.placeholder(), t.expected)
			}
			r.reportMistake(path, "%v", err)
			continue
		}
		all[p.name], _ = strconv.Atoi(text) // it is a number
	}
	*t.at(s) = all
}

func (t *topicPartitions[S]) applyOverrides(r *configReader, at string, s *S) {
	over, ok := r.overrides[t.flag]
	if !ok {
		return
	}
	r.origins[at] = over.valueOrigin
	all := make(map[string]int)
	for entry := range strings.SplitSeq(over.text, ",") {
		topic, number, _ := strings.Cut(strings.TrimSpace(entry), "=")
		err := validPartitioned(topic)
		if err == nil {
			err = t.valid(number)
		}
		if err != nil {
			r.reportMistake(at, "%v: write TOPIC=N, such as order.placed=8, several separated by commas", err)
			return
		}
		all[topic], _ = strconv.Atoi(number) // it is a number
	}
	*t.at(s) = all
}

// validPartitioned returns why a topic has no partitions.
func validPartitioned(topic string) error {
	if err := bus.ValidTopic(topic); err != nil {
		return err
	}
	if p, ok := bus.ParsePartition(topic); ok {
		return fmt.Errorf("%s is a partition: write its topic, %s: %d", quoteShort(topic), p.Topic, p.Of)
	}
	return nil
}
