package schematest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/schema"
)

// Harness says how to make a store.
type Harness struct {
	// New makes a store that is empty, and valid until the test has ended.
	New func(t *testing.T) schema.Store
	// Again opens another store on what one has stored. Nil: there is only one.
	Again func(t *testing.T, s schema.Store) schema.Store
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Again == nil {
		h.Again = func(_ *testing.T, s schema.Store) schema.Store { return s }
	}
	for name, scenario := range map[string]func(*testing.T, *kit){
		"versions are read as they were added":         versionsAreKept,
		"a version follows on the one before":          numbersFollow,
		"of versions with one number one is added":     oneWins,
		"versions that are added at once get numbers":  addAtOnce,
		"subjects of any names never meet":             strangeNames,
		"a version of the largest size is kept":        largestVersion,
		"what must not be kept is refused":             refusedVersions,
		"a call whose context has ended does nothing":  endedContext,
		"an empty store has no subjects and no schema": emptyStore,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t, &kit{h, h.New(t)})
		})
	}
}

type kit struct {
	h     Harness
	store schema.Store
}

var placed = schema.Subject{Topic: "order.placed", Type: "order.placed"}

func newVersion(s schema.Subject, number int) schema.Version {
	return schema.Version{
		Subject: s, Number: number, Mode: schema.Full, Schema: json.RawMessage(fmt.Sprintf(`{"title":"<%d> é &","minimum":%d}`, number, number)),
		Samples: []json.RawMessage{[]byte(`{"a":"<é>"}`), []byte(`1e2`)}, Forced: "because <it> must", Added: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
	}
}

func (k *kit) add(t *testing.T, v schema.Version) {
	t.Helper()
	if err := k.store.Add(t.Context(), v); err != nil {
		t.Fatal(err)
	}
}

// versions reads those above a number, as another process would.
func (k *kit) versions(t *testing.T, s schema.Subject, above int) []schema.Version {
	t.Helper()
	versions, err := k.h.Again(t, k.store).Versions(t.Context(), s, above)
	if err != nil {
		t.Fatal(err)
	}
	return versions
}

func same(a, b schema.Version) bool {
	return a.Subject == b.Subject && a.Number == b.Number && a.Mode == b.Mode && bytes.Equal(a.Schema, b.Schema) &&
		slices.EqualFunc(a.Samples, b.Samples, func(x, y json.RawMessage) bool { return bytes.Equal(x, y) }) && a.Forced == b.Forced && a.Added.Equal(b.Added)
}

func versionsAreKept(t *testing.T, k *kit) {
	for n := range 3 {
		k.add(t, newVersion(placed, n+1))
		for above := range n + 3 {
			got := k.versions(t, placed, above)
			if len(got) != max(0, n+1-above) {
				t.Fatalf("%d versions above %d of %d", len(got), above, n+1)
			}
			for i, v := range got {
				if want := newVersion(placed, above+i+1); !same(v, want) {
					t.Errorf("read %+v, added %+v", v, want)
				}
			}
		}
	}
	plain := schema.Version{Subject: schema.Subject{Topic: "x"}, Number: 1, Mode: schema.None, Schema: []byte("true")}
	k.add(t, plain)
	got := k.versions(t, schema.Subject{Topic: "x", Type: "x"}, 0)
	plain.Type = "x" // by default
	if len(got) != 1 || !same(got[0], plain) {
		t.Errorf("read %+v, added %+v", got, plain)
	}
}

func numbersFollow(t *testing.T, k *kit) {
	refused := func(number int) {
		t.Helper()
		if err := k.store.Add(t.Context(), newVersion(placed, number)); !errors.Is(err, schema.ErrConflict) {
			t.Errorf("version %d: %v, want ErrConflict", number, err)
		}
	}
	refused(2)
	k.add(t, newVersion(placed, 1))
	refused(1)
	refused(3)
	k.add(t, newVersion(placed, 2))
	if got := k.versions(t, placed, 0); len(got) != 2 {
		t.Errorf("%d versions, want 2", len(got))
	}
}

func oneWins(t *testing.T, k *kit) {
	const racers = 8
	for number := 1; number <= 3; number++ {
		var all sync.WaitGroup
		errs := make([]error, racers)
		for i := range racers {
			v := newVersion(placed, number)
			v.Forced = fmt.Sprint(i)
			all.Go(func() { errs[i] = k.store.Add(t.Context(), v) })
		}
		all.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Errorf("version %d was added by %d and by %d", number, winner, i)
			case err == nil:
				winner = i
			case !errors.Is(err, schema.ErrConflict):
				t.Errorf("version %d: %v", number, err)
			}
		}
		if got := k.versions(t, placed, number-1); len(got) != 1 || got[0].Forced != fmt.Sprint(winner) {
			t.Errorf("version %d: read %+v, added by %d", number, got, winner)
		}
	}
}

func addAtOnce(t *testing.T, k *kit) {
	const adders = 6
	var all sync.WaitGroup
	for i := range adders {
		store := k.h.Again(t, k.store)
		all.Go(func() {
			for {
				_, err := schema.Add(t.Context(), store, placed, fmt.Appendf(nil, `{"title":"%d"}`, i), nil)
				if err == nil {
					return
				}
				if !errors.Is(err, schema.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	titles := map[string]bool{}
	for i, v := range k.versions(t, placed, 0) {
		titles[string(v.Schema)] = true
		if v.Number != i+1 {
			t.Errorf("version %d is the %d-th", v.Number, i+1)
		}
	}
	if len(titles) != adders {
		t.Errorf("%d schemas, want %d", len(titles), adders)
	}
}

func strangeNames(t *testing.T, k *kit) {
	subjects := []schema.Subject{
		{Topic: "a", Type: "b.c"},
		{Topic: "a.b", Type: "c"},
		{Topic: "a.b.c", Type: "a.b.c"},
		{Topic: "a", Type: "B"},
		{Topic: "a", Type: "b"},
		{Topic: "a", Type: "../../x"},
		{Topic: "a", Type: ".."},
		{Topic: "a", Type: "."},
		{Topic: "a", Type: " >*?[%41=41\\é\x01:"},
		{Topic: "a", Type: "1.json"},
		{Topic: "CON", Type: "$JS.API"},
		{Topic: "é%2E/x", Type: strings.Repeat("t", 80)},
	}
	for i, s := range subjects {
		if got := k.versions(t, s, 0); len(got) != 0 {
			t.Errorf("%q has %d versions already", s, len(got))
		}
		v := newVersion(s, 1)
		v.Forced = fmt.Sprint(i)
		k.add(t, v)
	}
	for i, s := range subjects {
		if got := k.versions(t, s, 0); len(got) != 1 || got[0].Forced != fmt.Sprint(i) || got[0].Subject != s {
			t.Errorf("%q: %+v", s, got)
		}
	}
	got, err := k.h.Again(t, k.store).Subjects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(got, func(a, b schema.Subject) int { return strings.Compare(a.Topic+"\x00"+a.Type, b.Topic+"\x00"+b.Type) }) {
		t.Errorf("not sorted: %q", got)
	}
	for _, s := range subjects {
		if !slices.Contains(got, s) {
			t.Errorf("%q is not listed", s)
		}
	}
	if len(got) != len(subjects) {
		t.Errorf("listed: %q, want %q", got, subjects)
	}
}

func largestVersion(t *testing.T, k *kit) {
	v := newVersion(placed, 1)
	v.Schema = []byte(`{"description":"` + strings.Repeat("x", schema.MaxSchema-18) + `"}`)
	v.Samples = []json.RawMessage{[]byte(`"` + strings.Repeat("<", schema.MaxSamples-2) + `"`)}
	v.Forced = strings.Repeat("é", schema.MaxReason/2)
	k.add(t, v)
	if got := k.versions(t, placed, 0); len(got) != 1 || !same(got[0], v) {
		t.Errorf("it is read as another one")
	}
}

func refusedVersions(t *testing.T, k *kit) {
	for what, change := range map[string]func(*schema.Version){
		"no topic":        func(v *schema.Version) { v.Topic = "" },
		"a pattern":       func(v *schema.Version) { v.Topic = "order.*" },
		"a partition":     func(v *schema.Version) { v.Topic = "order.of8.3" },
		"no mode":         func(v *schema.Version) { v.Mode = "" },
		"no number":       func(v *schema.Version) { v.Number = 0 },
		"no schema":       func(v *schema.Version) { v.Schema = nil },
		"no JSON":         func(v *schema.Version) { v.Schema = []byte("{") },
		"too large":       func(v *schema.Version) { v.Schema = []byte(`"` + strings.Repeat("x", schema.MaxSchema) + `"`) },
		"samples too big": func(v *schema.Version) { v.Samples[0] = []byte(`"` + strings.Repeat("x", schema.MaxSamples) + `"`) },
	} {
		v := newVersion(placed, 1)
		change(&v)
		if err := k.store.Add(t.Context(), v); !errors.Is(err, schema.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	if got := k.versions(t, placed, 0); len(got) != 0 {
		t.Errorf("added: %+v", got)
	}
}

func endedContext(t *testing.T, k *kit) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.store.Add(ctx, newVersion(placed, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Add: %v", err)
	}
	if got := k.versions(t, placed, 0); len(got) != 0 {
		t.Errorf("added: %+v", got)
	}
	k.add(t, newVersion(placed, 1))
	if _, err := k.store.Versions(ctx, placed, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Versions: %v", err)
	}
	if _, err := k.store.Subjects(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Subjects: %v", err)
	}
}

func emptyStore(t *testing.T, k *kit) {
	if got, err := k.store.Subjects(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	for _, s := range []schema.Subject{placed, {Topic: "a", Type: strings.Repeat("é", 127)}} {
		if got := k.versions(t, s, 0); len(got) > 0 {
			t.Errorf("%+v", got)
		}
	}
	if _, _, err := schema.Compare(t.Context(), k.store, placed, []byte("true"), nil); err != nil {
		t.Error(err)
	}
	if err := schema.Check(t.Context(), k.store); err != nil {
		t.Error(err)
	}
}
