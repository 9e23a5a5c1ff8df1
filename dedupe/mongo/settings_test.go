package mongo_test

import (
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

// What the client's URI says of reads, writes and retries does not matter.
func TestSettingsOfTheClientDoNotMatter(t *testing.T) {
	t.Parallel()
	base := strings.TrimSuffix(mongotest.URI(t), "/")
	if strings.Contains(base, "?") {
		t.Fatalf("%s has settings of its own: set MONGODB_URI without", base)
	}
	for _, settings := range []string{
		"readPreference=secondaryPreferred", "w=0", "w=1&readConcernLevel=local", "journal=false&w=1", "retryWrites=false", "timeoutMS=8000",
		"maxPoolSize=1", "readPreference=secondaryPreferred&w=0&readConcernLevel=available",
	} {
		t.Run(settings, func(t *testing.T) {
			t.Parallel()
			s, err := mongodedupe.New(t.Context(), collection(t, connect(t, options.Client().ApplyURI(base+"/?"+settings))), &mongodedupe.Options{Timeout: patience})
			if err != nil {
				t.Fatal(err)
			}
			cs, err := s.Claim(t.Context(), []dedupe.Request{request("a", time.Minute), request("b", time.Minute)})
			if err != nil || cs[0].State != dedupe.Fresh || cs[1].State != dedupe.Fresh {
				t.Fatal(cs, err)
			}
			ss := []dedupe.Settlement{{Claim: cs[0], TTL: time.Hour}, {Claim: cs[1], TTL: time.Hour, Outcome: dedupe.Failed}}
			if err := each(s.Settle(t.Context(), ss)); err != nil {
				t.Fatal(err)
			}
			a, b := request("a", time.Minute), request("b", time.Minute)
			a.Nonce, b.Nonce = "other", "other"
			cs, err = s.Claim(t.Context(), []dedupe.Request{a, b})
			if err != nil || cs[0].State != dedupe.Done || cs[1].State != dedupe.Fresh || cs[1].Attempts != 1 {
				t.Fatal(cs, err)
			}
			if _, err := s.Begin(t.Context(), "g", "t", dedupe.Watermark{Position: dedupe.Position{Stream: "s"}}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
