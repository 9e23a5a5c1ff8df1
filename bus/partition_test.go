package bus_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
)

// anyPartition is a partition of a topic of few words, which look like parts of partitions.
func anyPartition(t *rapid.T) bus.Partition {
	words := []string{"a", "of8", "3", "of", "of0", "of08", "9", "1", "of1025", "%2E", "é"}
	topic := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 4).Draw(t, "tokens"), ".")
	of := rapid.IntRange(1, bus.MaxPartitions).Draw(t, "of")
	return bus.Partition{Topic: bus.LogicalTopic(topic), Of: of, Number: rapid.IntRange(0, of-1).Draw(t, "number")}
}

func TestParsePartitionInvertsSubject(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, key := anyPartition(t), rapid.String().Draw(t, "key")
		for _, subject := range []string{p.Name(), p.Name() + "." + bus.KeyToken(key)} {
			if err := bus.ValidTopic(subject); err != nil {
				t.Fatalf("events cannot be published to the partition: %v", err)
			}
			if got, ok := bus.ParsePartition(subject); !ok || got != p {
				t.Fatalf("ParsePartition(%q) = %+v, %v; want %+v", subject, got, ok, p)
			}
			if got := bus.LogicalTopic(subject); got != p.Topic || bus.LogicalTopic(got) != got {
				t.Fatalf("LogicalTopic(%q) = %q; want %q, and that its own", subject, got, p.Topic)
			}
		}
		if got, ok := bus.PartitionKey(p.Name() + "." + bus.KeyToken(key)); !ok || got != key {
			t.Fatalf("PartitionKey of %q = %q, %v", bus.KeyToken(key), got, ok)
		}
		if key, ok := bus.PartitionKey(p.Name()); ok {
			t.Fatalf("the partition's own subject %q has the key %q", p.Name(), key)
		}
	})
}

func TestPartitionsOfHostileTopics(t *testing.T) {
	t.Parallel()
	for _, ordinary := range []string{
		"", "a", "a.b", "of8.3", "of8.3.k", "a.of8", "a.of8.x", "a.of0.0", "a.of0.1", "a.of8.8", "a.of8.9", "a.of08.3", "a.of8.03", "a.of8.-1", "a.of8.+1",
		"a.of1025.1", "a.of12345.1", "a.of.3", "a.of8.3 ", "a.Of8.3", "a.xof8.3", "a.of8x.3", "a.of8.3.", ".of8.3", "a.of8.>", "a.of8.*", "*.of8.3", "a.of8.3.>",
		"a.of8.3.*", "a.of８.3", "a.of18446744073709551624.3",
	} {
		if p, ok := bus.ParsePartition(ordinary); ok || p != (bus.Partition{}) {
			t.Errorf("ParsePartition(%q) = %+v, %v; want none", ordinary, p, ok)
		}
		if got := bus.LogicalTopic(ordinary); got != ordinary {
			t.Errorf("LogicalTopic(%q) = %q", ordinary, got)
		}
		if key, ok := bus.PartitionKey(ordinary); ok {
			t.Errorf("PartitionKey(%q) = %q", ordinary, key)
		}
		if subject, filter, topic := bus.SubjectOf(ordinary), bus.FilterOf(ordinary), bus.TopicOf(ordinary); subject != ordinary || filter != ordinary || topic != ordinary {
			t.Errorf("%q has the subject %q, the filter %q and is the subject of %q", ordinary, subject, filter, topic)
		}
	}
	for topic, want := range map[string]struct {
		p   bus.Partition
		key string
	}{
		"a.of8.3":            {bus.Partition{Topic: "a", Of: 8, Number: 3}, ""},
		"a.of1.0":            {bus.Partition{Topic: "a", Of: 1}, ""},
		"a.of1024.1023":      {bus.Partition{Topic: "a", Of: 1024, Number: 1023}, ""},
		"a.of8.9.of4.1":      {bus.Partition{Topic: "a.of8.9", Of: 4, Number: 1}, ""},
		"a.of8.3.of4.1":      {bus.Partition{Topic: "a", Of: 8, Number: 3}, "of4.1"},
		"a.b.of8.3.x%2Ey":    {bus.Partition{Topic: "a.b", Of: 8, Number: 3}, "x.y"},
		"a.of8.3.x.y":        {bus.Partition{Topic: "a", Of: 8, Number: 3}, "x.y"},
		"a.of8.3.50%off":     {bus.Partition{Topic: "a", Of: 8, Number: 3}, "50%off"},
		"a.of8.3.%FF":        {bus.Partition{Topic: "a", Of: 8, Number: 3}, "%FF"},
		"a.of8.3.c%C3%A9%2A": {bus.Partition{Topic: "a", Of: 8, Number: 3}, "cé*"},
	} {
		if p, ok := bus.ParsePartition(topic); !ok || p != want.p {
			t.Errorf("ParsePartition(%q) = %+v, %v; want %+v", topic, p, ok, want.p)
		}
		key, below := bus.PartitionKey(topic)
		if key != want.key {
			t.Errorf("PartitionKey(%q) = %q; want %q", topic, key, want.key)
		}
		subject, filter := topic, topic
		if !below {
			subject, filter = topic+".%", topic+".>"
		}
		if got, covers := bus.SubjectOf(topic), bus.FilterOf(topic); got != subject || covers != filter || bus.TopicOf(got) != topic {
			t.Errorf("%q has the subject %q and the filter %q; want %q and %q", topic, got, covers, subject, filter)
		}
	}
	if got := (bus.Partition{}).Name(); got != "" {
		t.Errorf("the zero Partition has the subject %q", got)
	}
}

func TestKeyTokensAreReadable(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"customer-17": "customer-17", "a.b": "a%2Eb", "*": "%2A", ">": "%3E", "50%": "50%25", "a b": "a%20b", "\n": "%0A", "\x7f": "%7F", "é": "é", "": "%", "%": "%25",
		"\xff": "%FF", "\uFFFD": "%EF%BF%BD", "$x": "$x",
	} {
		if got := bus.KeyToken(key); got != want {
			t.Errorf("KeyToken(%q) = %q; want %q", key, got, want)
		}
	}
}

func FuzzPartitions(f *testing.F) {
	for _, s := range []string{"a", "a.of8.3", "a.of8.3.k", "a.of8.9.of4.1", "a.of8.3.of4.1", "a..of8.3", "%", "%41", "\xff.of1.0", "a.of8.3.\xff"} {
		f.Add(s, "x"+s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if p, ok := bus.ParsePartition(a); ok {
			if a != p.Name() && !strings.HasPrefix(a, p.Name()+".") {
				t.Errorf("%q is called a part of %q", a, p.Name())
			}
			if _, again := bus.ParsePartition(p.Topic); again || p.Of < 1 || p.Number < 0 || p.Number >= p.Of {
				t.Errorf("ParsePartition(%q) = %+v", a, p)
			}
		}
		if key, ok := bus.PartitionKey(a); ok && !utf8.ValidString(key) {
			t.Errorf("PartitionKey(%q) = %q, which cannot be published", a, key)
		}
		if a != b && bus.KeyToken(a) == bus.KeyToken(b) {
			t.Errorf("%q and %q have one token, %q", a, b, bus.KeyToken(a))
		}
		if err := bus.ValidTopic(bus.KeyToken(a)); err != nil || strings.Contains(bus.KeyToken(a), ".") {
			t.Errorf("KeyToken(%q) = %q is not one token: %v", a, bus.KeyToken(a), err)
		}
	})
}

func TestPartitionOfIsInRange(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 0, 1, 2, 7, bus.MaxPartitions} {
		seen := map[int]bool{}
		for i := range 50 * max(n, 1) {
			p := bus.PartitionOf(fmt.Sprint("key ", i), n)
			if p < 0 || p >= max(n, 1) {
				t.Fatalf("PartitionOf(…, %d) = %d", n, p)
			}
			seen[p] = true
		}
		if len(seen) != max(n, 1) {
			t.Errorf("of %d partitions %d have keys", n, len(seen))
		}
	}
}

// An event that moves from one layout of its topic to another is the same event.
func TestIdentityIsThatOfTheLogicalTopic(t *testing.T) {
	t.Parallel()
	plain := bus.Event{ID: "1", Topic: "a", Key: "k", Data: []byte("x")}
	control := bus.Control{Redriven: "l", Group: "g", Copy: "2"}
	for _, topic := range []string{"a.of8.3", "a.of4.1", "a.of8.3.k"} {
		moved := plain
		moved.Topic = topic
		if bus.MessageID(&moved) != bus.MessageID(&plain) {
			t.Errorf("on %q the message id is %q, and %q on %q", topic, bus.MessageID(&moved), bus.MessageID(&plain), plain.Topic)
		}
		moved = plain.WithControl(control)
		moved.Topic = topic
		if got, err := moved.Control(); err != nil || got != control {
			t.Errorf("the control headers of an event moved to %q say %+v, %v", topic, got, err)
		}
		letter := plain.WithControl(bus.Control{Letter: "l"})
		id := bus.MessageID(&letter)
		if letter.Topic = topic; bus.MessageID(&letter) != id {
			t.Errorf("a letter on %q has the message id %q, and %q on %q", topic, bus.MessageID(&letter), id, plain.Topic)
		}
	}
	other := plain.WithControl(control)
	other.Topic = "b.of8.3"
	if _, err := other.Control(); err == nil {
		t.Error("control headers count on a partition of another topic")
	}
}
