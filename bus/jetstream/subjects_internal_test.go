package jetstream

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

func TestTransformedPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		subjects            string
		source, destination string // of the transform; none without a destination
		want                string
	}{
		{"orders.>", "", "", "orders.>"},
		{"orders.>", "orders.>", "stored.>", "stored.>"},
		{"orders.>", "", "stored.>", "stored.>"},
		{"orders.> bills.*", "orders.>", "stored.>", "stored.> bills.*"},
		{"orders.>", "orders.eu.*", "eu.$1", "eu.* orders.>"},
		{"orders.*", "orders.*", "orders.{{partition(3,1)}}.{{wildcard(1)}}", "orders.*.*"},
		{"orders.*", "orders.*", "orders.{{split(1,-)}}.all", "orders.>"},
		{"orders.*", "orders.*", "orders.$x", "orders.$x"},
		{"orders.*", "bills.*", "stored.$1", "orders.*"},
	} {
		config := jetstream.StreamConfig{Subjects: strings.Fields(c.subjects)}
		if c.destination != "" {
			config.SubjectTransform = &jetstream.SubjectTransformConfig{Source: c.source, Destination: c.destination}
		}
		if got := transformedPatterns(config.Subjects, config.SubjectTransform); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%q from %q to %q is stored under %q; want %q", c.subjects, c.source, c.destination, got, c.want)
		}
	}
}

func TestRenamedAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		topic, subjects, source, destination string
		want                                 bool
	}{
		{"orders.>", "orders.>", "orders.>", "stored.orders.>", true},
		{"orders.new", "orders.>", "orders.>", "stored.orders.>", true},
		{"orders.new", "orders.>", "orders.eu.>", "eu.>", false},
		{"orders.>", "orders.>", "orders.eu.>", "eu.>", true}, // a part of it
		{"stored.orders.>", "orders.>", "orders.>", "stored.orders.>", false},
		{"orders.>", "orders.*", "orders.*", "orders.{{partition(3,1)}}.$1", false},
		{"orders.*", "orders.*", "orders.*", "orders.{{partition(3,1)}}.$1", true},
		{">", "orders.*", "orders.*", "{{split(1,-)}}", false},
		{"bills.*", "orders.* bills.*", "orders.*", "stored.$1", false},
	} {
		config := jetstream.StreamConfig{Name: "S", Subjects: strings.Fields(c.subjects), SubjectTransform: &jetstream.SubjectTransformConfig{Source: c.source, Destination: c.destination}}
		err := renamedAway(&config, c.topic)
		if (err != nil) != c.want {
			t.Errorf("topic %q on subjects %q from %q to %q: %v; want it renamed: %v", c.topic, c.subjects, c.source, c.destination, err, c.want)
		}
		if err != nil && (!strings.Contains(err.Error(), c.destination) || !strings.Contains(err.Error(), "subscribe to")) {
			t.Errorf("%v; want the destination in it, and what to subscribe to", err)
		}
	}
}

func TestCopiedFrom(t *testing.T) {
	t.Parallel()
	transform := func(from, to string) jetstream.SubjectTransformConfig {
		return jetstream.SubjectTransformConfig{Source: from, Destination: to}
	}
	for _, c := range []struct {
		source jetstream.StreamSource
		origin string
		want   string
	}{
		{jetstream.StreamSource{}, "orders.> bills.*", "orders.> bills.*"},
		{jetstream.StreamSource{FilterSubject: "orders.new"}, "orders.> bills.*", "orders.new"},
		{jetstream.StreamSource{FilterSubject: "orders.>"}, "orders.new orders.old bills.*", "orders.new orders.old"},
		{jetstream.StreamSource{SubjectTransforms: []jetstream.SubjectTransformConfig{transform("orders.*", "eu.$1"), transform("bills.>", "")}}, "orders.> bills.*", "eu.* bills.*"},
		{jetstream.StreamSource{SubjectTransforms: []jetstream.SubjectTransformConfig{transform("notes.*", "eu.$1")}}, "orders.>", ""},
	} {
		if got := copiedFrom(&c.source, strings.Fields(c.origin)); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%+v copies %q as %q; want %q", c.source, c.origin, got, c.want)
		}
	}
}

// What the server makes of a subject is always among the patterns that its
// configuration is read as.
func FuzzRenamedCoversWhatTheServerStores(f *testing.F) {
	f.Add("orders.>", "orders.>", "stored.>", "orders.new.eu")
	f.Add("orders.*", "orders.*", "a.{{partition(7,1)}}.{{wildcard(1)}}", "orders.new")
	f.Add("orders.*.*", "orders.*.*", "$2.{{splitfromleft(1,2)}}.b", "orders.new.eu")
	f.Add("orders.*", "orders.*", "{{ SliceFromRight(1, 2) }}", "orders.abcdef")
	f.Add("orders.>", "orders.eu", "eu.{{random(5)}}", "orders.eu")
	f.Add(">", "", "all.>", "x.y")
	f.Fuzz(func(t *testing.T, subject, source, destination, published string) {
		if bus.ValidPattern(subject) != nil || bus.ValidTopic(published) != nil || !bus.Match(subject, published) || source != "" && bus.ValidPattern(source) != nil {
			return
		}
		for token := range strings.SplitSeq(destination, ".") {
			if !isPlaceholder(token) && bus.ValidPattern(token) != nil {
				return
			}
		}
		transform, err := server.NewSubjectTransform(source, destination)
		if err != nil || transform == nil {
			return
		}
		stored, err := transform.Match(published)
		if err != nil || bus.ValidTopic(stored) != nil {
			stored = published
		}
		patterns := transformedPatterns([]string{subject}, &jetstream.SubjectTransformConfig{Source: source, Destination: destination})
		if !overlapsAny(patterns, stored) {
			t.Errorf("%q from %q to %q: %q is stored as %q, which is none of %q", subject, source, destination, published, stored, patterns)
		}
	})
}
