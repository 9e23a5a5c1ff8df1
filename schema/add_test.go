package schema_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/onceish/onceish/schema"
	memschema "github.com/onceish/onceish/schema/memory"
)

var placed = schema.Subject{Topic: "order.placed", Type: "order.placed"}

const (
	withTotal    = `{"type":"object","properties":{"total":{"type":"integer"}},"required":["total"]}`
	withCurrency = `{"type":"object","properties":{"total":{"type":"integer"},"currency":{"type":"string"}},"required":["total","currency"]}`
	withNote     = `{"type":"object","properties":{"total":{"type":"integer"},"note":{"type":"string"}},"required":["total"]}`
)

func add(t testing.TB, s schema.Store, text string, o *schema.AddOptions) schema.Version {
	t.Helper()
	v, err := schema.Add(t.Context(), s, placed, []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestIncompatibleVersionIsNotAdded(t *testing.T) {
	t.Parallel()
	for mode, want := range map[schema.Mode]string{
		schema.None: "", schema.Forward: "", schema.ForwardTransitive: "",
		schema.Backward:           `version 2 does not read version 1, at /required: it requires "currency"`,
		schema.BackwardTransitive: "version 2 does not read version 1", schema.Full: "version 2 does not read version 1", schema.FullTransitive: "version 2 does not read version 1",
	} {
		store := memschema.New()
		add(t, store, withTotal, &schema.AddOptions{Mode: mode})
		_, err := schema.Add(t.Context(), store, placed, []byte(withCurrency), nil) // the mode stays
		versions, _ := store.Versions(t.Context(), placed, 0)
		if want == "" {
			if err != nil || len(versions) != 2 {
				t.Errorf("%s: %v, %d versions", mode, err, len(versions))
			}
			continue
		}
		if !errors.Is(err, schema.ErrIncompatible) || !strings.Contains(err.Error(), want) || len(versions) != 1 {
			t.Errorf("%s: %v, %d versions; want %q", mode, err, len(versions), want)
		}
		incompatible, _ := errors.AsType[*schema.IncompatibleError](err)
		if incompatible.Mode != mode || incompatible.Number != 2 || incompatible.Differences[0].Path != "/required" {
			t.Errorf("%s: %+v", mode, incompatible)
		}
	}
}

// A version that is compatible with the one before may not be with those before that.
func TestTransitiveModesCompareAllVersions(t *testing.T) {
	t.Parallel()
	first := `{"properties":{"a":{"type":"integer"}}}`
	second, third := `{"properties":{}}`, `{"properties":{"a":{"type":"string"}}}`
	for mode, want := range map[schema.Mode]string{schema.Full: "", schema.BackwardTransitive: "version 3 does not read version 1, at /properties/a/type", schema.FullTransitive: "version 1 does not read version 3"} {
		store := memschema.New()
		add(t, store, first, &schema.AddOptions{Mode: mode})
		add(t, store, second, nil)
		_, err := schema.Add(t.Context(), store, placed, []byte(third), nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v; want %q", mode, err, want)
		}
	}
}

func TestForcedVersionKeepsTheReason(t *testing.T) {
	t.Parallel()
	store := memschema.New()
	if v := add(t, store, withTotal, &schema.AddOptions{Force: "it is the first"}); v.Forced != "" {
		t.Errorf("forced though nothing spoke against it: %q", v.Forced)
	}
	if v := add(t, store, withCurrency, &schema.AddOptions{Force: "all consumers know"}); v.Forced != "all consumers know" || v.Number != 2 {
		t.Errorf("%+v", v)
	}
	if err := schema.Check(t.Context(), store); err != nil {
		t.Errorf("what was forced is checked: %v", err)
	}
}

func TestSameSchemaIsAddedOnce(t *testing.T) {
	t.Parallel()
	store := memschema.New()
	add(t, store, withTotal, nil)
	if v := add(t, store, " "+withTotal+"\n", nil); v.Number != 1 {
		t.Errorf("added as %d", v.Number)
	}
	add(t, store, withNote, nil)
	if v := add(t, store, withTotal, nil); v.Number != 3 {
		t.Errorf("an older one was not added again: %d", v.Number)
	}
}

func TestSamplesMustBeValid(t *testing.T) {
	t.Parallel()
	store := memschema.New()
	_, err := schema.Add(t.Context(), store, placed, []byte(withTotal), &schema.AddOptions{Samples: []json.RawMessage{[]byte(`{"total":1}`), []byte(`{"total":"x"}`)}})
	if !errors.Is(err, schema.ErrViolation) || !strings.Contains(err.Error(), "sample 2") || !strings.Contains(err.Error(), "/total") {
		t.Error(err)
	}
	if subjects, _ := store.Subjects(t.Context()); len(subjects) > 0 {
		t.Errorf("added: %v", subjects)
	}
}

func TestUnreadableStoreAddsNothing(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	if _, err := schema.Add(t.Context(), &failing{Store: memschema.New(), err: func() error { return gone }}, placed, []byte("{}"), nil); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// failing is a store that cannot be read while err returns an error.
type failing struct {
	schema.Store

	err   func() error
	calls int
}

func (f *failing) Versions(ctx context.Context, s schema.Subject, above int) ([]schema.Version, error) {
	f.calls++
	if err := f.err(); err != nil {
		return nil, err
	}
	return f.Store.Versions(ctx, s, above)
}

func TestCheckFindsWhatIsWrongWithAStore(t *testing.T) {
	t.Parallel()
	addCurrency := schema.Upcast(1, 2, func(data []byte) ([]byte, error) {
		return append(data[:len(data)-1:len(data)-1], `,"currency":"EUR"}`...), nil
	})
	sample := &schema.AddOptions{Samples: []json.RawMessage{[]byte(`{"total":1}`)}}
	force := &schema.AddOptions{Force: "all consumers upcast"}
	for what, c := range map[string]struct {
		fill      func(*testing.T, schema.Store)
		upcasters []schema.Upcaster
		want      string
	}{
		"an upcaster that works": {func(t *testing.T, s schema.Store) { add(t, s, withTotal, sample); add(t, s, withCurrency, force) }, []schema.Upcaster{addCurrency}, ""},
		"an upcaster that forgets": {func(t *testing.T, s schema.Store) { add(t, s, withTotal, sample); add(t, s, withCurrency, force) }, []schema.Upcaster{
			schema.Upcast(1, 2, func(data []byte) ([]byte, error) { return data, nil }),
		}, `sample 1 of version 1 of order.placed: event violates its schema: order.placed, version 2, at /: missing "currency"`},
		"an upcaster that fails": {func(t *testing.T, s schema.Store) { add(t, s, withTotal, sample); add(t, s, withCurrency, force) }, []schema.Upcaster{
			schema.UpcastJSON(1, 2, func([]int) (int, error) { return 0, nil }),
		}, "upcast from version 1 to 2: decode the data as []int"},
		"an upcaster to nowhere": {func(t *testing.T, s schema.Store) { add(t, s, withTotal, sample) }, []schema.Upcaster{addCurrency}, "no schema: version 2"},
		"a version that somebody stored": {func(t *testing.T, s schema.Store) {
			add(t, s, withTotal, nil)
			store(t, s, schema.Version{Subject: placed, Number: 2, Mode: schema.Backward, Schema: []byte(withCurrency)})
		}, nil, "version 2 of order.placed: schema is not compatible"},
		"a text that is no schema": {func(t *testing.T, s schema.Store) {
			store(t, s, schema.Version{Subject: placed, Number: 1, Mode: schema.None, Schema: []byte(`{"type":1}`)})
		}, nil, "version 1 of order.placed: invalid schema: at /type"},
		"a sample that is not valid": {func(t *testing.T, s schema.Store) {
			store(t, s, schema.Version{Subject: placed, Number: 1, Mode: schema.None, Schema: []byte(withTotal), Samples: []json.RawMessage{[]byte(`{}`)}})
		}, nil, "sample 1"},
	} {
		s := memschema.New()
		c.fill(t, s)
		err := schema.Check(t.Context(), s, c.upcasters...)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", what, err, c.want)
		}
	}
	if err := schema.CheckSubject(t.Context(), memschema.New(), placed); !errors.Is(err, schema.ErrNoSchema) {
		t.Errorf("a subject without a schema: %v", err)
	}
}

func store(t *testing.T, s schema.Store, v schema.Version) {
	t.Helper()
	if err := s.Add(t.Context(), v); err != nil {
		t.Fatal(err)
	}
}
