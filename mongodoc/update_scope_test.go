package mongodoc_test

import (
	"testing"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/mongodoc"
)

// An event that runs again on purpose changes the document once more, and once in each scope.
func TestUpdateOnceFollowsTheScopeOfARun(t *testing.T) {
	t.Parallel()
	s, dedupes, _ := wired(t)
	coll := dedupes.Database().Collection("accounts")
	for _, scope := range []string{"", "fix-a", "", "fix-a", "fix-b", "fix-b"} {
		key := orderKey("1")
		key.Scope = dedupe.AgainScope(scope)
		ctx := dedupe.WithRun(t.Context(), dedupe.NewRun(key))
		if _, err := s.UpdateOnce(ctx, coll, d("_id", 1), d("$inc", d("n", 1)), &mongodoc.UpdateOptions{Upsert: true}); err != nil {
			t.Fatal(err)
		}
	}
	if n := number(t, document(t, coll, 1), "n"); n != 3 {
		t.Errorf("the document was changed %d times; want at first, and once in each of two scopes", n)
	}
}
