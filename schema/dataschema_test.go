package schema

import (
	"testing"

	"pgregory.net/rapid"
)

// What URI writes, ParseURI reads, and nothing else.
func TestURIIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := Subject{Topic: rapid.String().Draw(t, "topic"), Type: rapid.StringN(1, 20, -1).Draw(t, "type")}
		number := rapid.IntRange(1, 1<<30).Draw(t, "number")
		got, n, ok := ParseURI(URI(s, number))
		if !ok || n != number || got != s.WithDefaults() {
			t.Fatalf("%q: %+v, %d, %v", URI(s, number), got, n, ok)
		}
	})
	for _, uri := range []string{"", "https://example.com/a", "urn:onceish:schema:a:a", "urn:onceish:schema:a:a:0", "urn:onceish:schema:a:a:01", "urn:onceish:schema:a:a:-1", "urn:onceish:schema:a:%61:1", "urn:onceish:schema:a:a:1:1"} {
		if _, _, ok := ParseURI(uri); ok {
			t.Errorf("%q was read", uri)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("urn:onceish:schema:order.placed:order.placed:3")
	f.Fuzz(func(t *testing.T, uri string) {
		if s, n, ok := ParseURI(uri); ok && s.Topic != "" && URI(s, n) != uri {
			t.Errorf("%q is %+v, version %d, whose URI is %q", uri, s, n, URI(s, n))
		}
	})
}
