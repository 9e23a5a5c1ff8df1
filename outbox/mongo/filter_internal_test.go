package mongo

import (
	"regexp"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
)

// What the database finds for a pattern is what the bus delivers for it.
func FuzzPattern(f *testing.F) {
	for _, pattern := range []string{"a", "a.b", "a.*", "*.b", ">", "a.>", "a.*.c.>", "a+.$", "é.*"} {
		for _, topic := range []string{"a", "a.b", "a.b.c", "b", "aa.b", "a.b.c.d", "a+.$", "é.x"} {
			f.Add(pattern, topic)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		if bus.ValidPattern(pattern) != nil || bus.ValidTopic(topic) != nil {
			return
		}
		var found bool
		switch m := topicCondition(pattern).(type) {
		case string:
			found = m == topic
		case bson.Regex:
			found = regexp.MustCompile(m.Pattern).MatchString(topic)
		}
		if want := bus.Match(pattern, topic); found != want {
			t.Errorf("pattern %q finds topic %q: %t; want %t", pattern, topic, found, want)
		}
	})
}
