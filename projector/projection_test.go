package projector_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/projector"
)

func TestOlderEventNeverOverwritesANewerOne(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	p := projection(t, coll, projectUser, nil)
	newer := bus.Position{Stream: "users@2", Sequence: 1}
	for _, s := range []stored{
		{userEvent("2", "a", user{Name: "second"}), at(2)},
		{userEvent("1", "a", user{Name: "first"}), at(1)},
		{userEvent("2", "a", user{Name: "second"}), at(2)},
		{userEvent("4", "b", user{}), at(4)},
		{userEvent("3", "b", user{Name: "deleted"}), at(3)},
		{userEvent("5", "c", user{Name: "of a stream that was made again"}), newer},
		{userEvent("6", "c", user{Name: "old"}), at(9)},
	} {
		must(t, p.Handle(running(t.Context(), s), s.event))
	}
	want := map[string]string{"a": "second <>", "c": "of a stream that was made again <>"}
	if got := documents(t, coll); !maps.Equal(got, want) {
		t.Errorf("documents %v, want %v", got, want)
	}
	// DocumentDB counts as modified what it left as it was.
	if s := p.Stats(); s != (projector.Stats{Applied: 3, Stale: 4}) && s != (projector.Stats{Applied: 7}) {
		t.Errorf("%+v, want 3 applied and 4 stale", s)
	}
}

// A copy that was redriven has the place of its event.
func TestRedrivenEventDoesNotOverwriteANewerOne(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	p := projection(t, coll, projectUser, nil)
	must(t, p.Handle(running(t.Context(), stored{userEvent("2", "a", user{Name: "second"}), at(2)}), userEvent("2", "a", user{Name: "second"})))
	first := stored{userEvent("1", "a", user{Name: "first"}), at(1)}
	ctx := running(t.Context(), first)
	a := consumer.AttemptFrom(ctx)
	a.At = at(3)
	must(t, p.Handle(consumer.WithAttempt(ctx, a), first.event))
	if got := documents(t, coll)["a"]; got != "second <>" {
		t.Errorf("the document is %q, want that of the newer event", got)
	}
}

// What cannot be stored is dead-lettered with the reason, and nothing else of its batch is held up:
// neither another key nor an older event of the same one.
func TestDocumentThatIsTooLargeStopsNothingElse(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	p := projection(t, coll, projectUser, nil)
	events := []bus.Event{
		userEvent("1", "large", user{Name: "small"}), userEvent("2", "large", user{Name: strings.Repeat("x", 17<<20)}),
		userEvent("3", "fits", user{Name: strings.Repeat("x", 15<<20)}), userEvent("4", "other", user{Name: "other"}),
	}
	errs := p.DeliverBatch(t.Context(), group, events, []bus.Position{at(1), at(2), at(3), at(4)})
	for i, err := range errs {
		if (err != nil) != (i == 1) {
			t.Errorf("event %s: %v", events[i].ID, err)
		}
	}
	if err := errs[1]; !consumer.IsPermanent(err) || !strings.Contains(err.Error(), "17825") || !strings.Contains(err.Error(), `"large"`) {
		t.Errorf("the error is %v, want a permanent one with the key and the size", err)
	}
	got := documents(t, coll)
	if len(got["fits"]) < 15<<20 || got["other"] != "other <>" || got["large"] != "small <>" {
		t.Errorf("%d documents, %q, %q", len(got), got["other"], got["large"])
	}
}

// A document that the server refuses is a dead letter, and an older one of its key is stored.
func TestDocumentThatTheServerRefusesStopsNothingElse(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	_, err := coll.Indexes().CreateOne(t.Context(), driver.IndexModel{Keys: bson.D{{Key: "name", Value: 1}}, Options: options.Index().SetUnique(true)})
	must(t, err)
	p := projection(t, coll, projectUser, nil)
	events := []bus.Event{userEvent("1", "b", user{Name: "free"}), userEvent("2", "c", user{Name: "other"}), userEvent("3", "b", user{Name: "taken"})}
	must(t, deliver(p, []stored{{userEvent("0", "a", user{Name: "taken"}), at(1)}}))
	errs := p.DeliverBatch(t.Context(), group, events, []bus.Position{at(2), at(3), at(4)})
	if errs[0] != nil || errs[1] != nil || !consumer.IsPermanent(errs[2]) || !strings.Contains(errs[2].Error(), "Options.Unique") {
		t.Errorf("the errors are %v, want a permanent one of the last event alone", errs)
	}
	if got, want := documents(t, coll), map[string]string{"a": "taken <>", "b": "free <>", "c": "other <>"}; !maps.Equal(got, want) {
		t.Errorf("documents %v, want %v", got, want)
	}
}

// A violation in the middle of a batch is that of its event alone.
func TestUniqueViolationInTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	for policy, want := range map[projector.Policy]map[string]string{
		projector.DeadLetter: {"a": "a <x>", "b": "b <>", "c": "c <z>"},
		projector.FirstWins:  {"a": "a <x>", "b": "b <>", "c": "c <z>"},
		projector.LastWins:   {"a": "a <>", "b": "b <x>", "c": "c <z>"},
	} {
		coll := mongotest.Collection(t)
		p := projection(t, coll, projectUser, unique(policy))
		errs := p.DeliverBatch(t.Context(), group, []bus.Event{
			userEvent("1", "a", user{"a", "x"}), userEvent("2", "b", user{"b", "x"}), userEvent("3", "c", user{"c", "z"}),
		}, []bus.Position{at(1), at(2), at(3)})
		taken, refused := errors.AsType[*projector.TakenError](errs[1])
		if refused != (policy == projector.DeadLetter) || refused && (*taken != projector.TakenError{Field: "email", Key: "b", Owner: "a"} || !consumer.IsPermanent(errs[1])) {
			t.Errorf("%s: the error of the second event is %v", policy, errs[1])
		}
		if errs[0] != nil || errs[2] != nil {
			t.Errorf("%s: the others have errors: %v", policy, errs)
		}
		if got := documents(t, coll); !maps.Equal(got, want) {
			t.Errorf("%s: documents %v, want %v", policy, got, want)
		}
	}
}

func TestConstraintOnDocumentsThatAreThereAsksForARebuild(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	s := stored{userEvent("1", "a", user{"a", "x"}), at(1)}
	must(t, projection(t, coll, projectUser, nil).Handle(running(t.Context(), s), s.event))
	p, err := projector.New(coll, projectUser, unique(projector.LastWins))
	must(t, err)
	if err := p.Prepare(t.Context()); !errors.Is(err, projector.ErrRebuild) {
		t.Errorf("prepared with %v, want %v", err, projector.ErrRebuild)
	}
}

func TestEventThatCannotBeProjectedIsPermanent(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	for name, change := range map[string]projector.Change{
		"key":      projector.Upsert("", bson.D{}),
		"no key":   projector.Delete(""),
		"_id":      projector.Upsert("a", bson.D{{Key: "_id", Value: "b"}}),
		"reserved": projector.Upsert("a", bson.D{{Key: "_onceish", Value: 1}}),
		"scalar":   projector.Upsert("a", 7),
		"list":     projector.Upsert("a", bson.D{{Key: "email", Value: bson.A{"x"}}}),
	} {
		p := projection(t, coll, func(bus.Event) (projector.Change, error) { return change, nil }, unique(projector.LastWins))
		e := userEvent("1", "a", user{})
		if err := p.Handle(running(t.Context(), stored{e, at(1)}), e); !consumer.IsPermanent(err) {
			t.Errorf("%s: %v, want a permanent error", name, err)
		}
	}
	if n := len(documents(t, coll)); n > 0 {
		t.Errorf("%d documents were stored", n)
	}
}

// What comes from an event is never an expression.
func TestDocumentIsStoredAsItIs(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	p := projection(t, coll, projectUser, nil)
	s := stored{userEvent("1", "$$ROOT", user{Name: "$name", Email: "$$NOW"}), at(1)}
	must(t, p.Handle(running(t.Context(), s), s.event))
	if got := fmt.Sprint(documents(t, coll)); got != "map[$$ROOT:$name <$$NOW>]" {
		t.Errorf("stored %s", got)
	}
}

func TestOptionsThatCannotBeKeptAreRefused(t *testing.T) {
	t.Parallel()
	coll := mongotest.Collection(t)
	for name, o := range map[string]*projector.Options{
		"no field": {Unique: []projector.Unique{{}}},
		"path":     {Unique: []projector.Unique{{Field: "a.b"}}},
		"twice":    {Unique: []projector.Unique{{Field: "a"}, {Field: "a"}}},
		"policy":   {Unique: []projector.Unique{{Field: "a", Policy: "any"}}},
		"TTL":      {TombstoneTTL: 1},
	} {
		if _, err := projector.New(coll, projectUser, o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
