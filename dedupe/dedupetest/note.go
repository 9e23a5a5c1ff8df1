package dedupetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/onceish/onceish/dedupe"
)

func notes(able *kit) bool { return able.claimer != nil && able.noter != nil }

func noteCases(able *kit) []testcase {
	all := []testcase{
		{"Note/is in every later answer", noteIsAnswered},
		{"Note/stays with what is done", noteOfDone},
		{"Note/the last one counts", noteAgain},
		{"Note/renews the claim", noteRenews},
		{"Note/of a claim that is another's", noteSuperseded},
		{"Note/of a row that is gone", noteAbsent},
		{"Note/ends with the row", noteExpires},
		{"Note/a mark forgets it", noteMarked},
		{"Note/a text that is none", noteRefused},
		{"Note/large batches", noteBatch},
	}
	if able.reopener != nil {
		all = append(all, testcase{"Note/reopening forgets it", noteReopened})
	}
	return all
}

func (k *kit) notes(t *testing.T, ns ...dedupe.Note) []bool {
	t.Helper()
	oks, err := applied(k.noter.Note(t.Context(), ns, lasting, keeping))
	if err != nil {
		t.Fatalf("Note: %v", err)
	}
	if len(oks) != len(ns) {
		t.Fatalf("Note answers %d to %d notes", len(oks), len(ns))
	}
	return oks
}

// noted keeps a text with a claim, which is still its owner's.
func (k *kit) noted(t *testing.T, c dedupe.Claim, text string) {
	t.Helper()
	if !k.notes(t, dedupe.Note{Claim: c, Text: text})[0] {
		t.Fatalf("note of %s: superseded, want kept", c.Key)
	}
}

// hasNote wants a claim to be answered with that note.
func hasNote(t *testing.T, c dedupe.Claim, want string) {
	t.Helper()
	if c.Note != want {
		t.Errorf("claim of %s, %v: the note is %q, want %q", c.Key, c.State, c.Note, want)
	}
}

func noteIsAnswered(t *testing.T, k *kit) {
	a := key("a")
	c := k.claim(t, k.brief(a), dedupe.Fresh)
	hasNote(t, c, "")
	k.noted(t, c, "first")
	hasNote(t, k.held(t, a), "first")
	r := k.request(a)
	r.Nonce = c.Nonce
	hasNote(t, k.claim(t, r, dedupe.Fresh), "first")
	k.settled(t, end(c, dedupe.Failed))
	next := k.claim(t, k.brief(a), dedupe.Fresh)
	hasNote(t, next, "first")
	k.lapse(t)
	over := k.fresh(t, a)
	hasNote(t, over, "first")
	k.settled(t, end(over, dedupe.GivenUp))
	r.Nonce = over.Nonce
	hasNote(t, k.claim(t, r, dedupe.DeadLettering), "first")
	if k.inspector != nil {
		if e := k.inspect(t, a)[0]; e.Note != "first" {
			t.Errorf("inspected: the note is %q, want %q", e.Note, "first")
		}
	}
	hasNote(t, k.fresh(t, key("b")), "")
}

func noteOfDone(t *testing.T, k *kit) {
	c := k.fresh(t, key("a"))
	k.noted(t, c, "deferred")
	k.settled(t, end(c, dedupe.Succeeded))
	for range 2 {
		hasNote(t, k.claim(t, k.request(c.Key), dedupe.Done), "deferred")
	}
}

func noteAgain(t *testing.T, k *kit) {
	c := k.fresh(t, key("a"))
	for _, text := range []string{"one", "two", "two", "drei € \"{$set}\""} {
		k.noted(t, c, text)
		hasNote(t, k.held(t, c.Key), text)
	}
}

func noteRenews(t *testing.T, k *kit) {
	c := k.claim(t, k.brief(key("a")), dedupe.Fresh)
	k.noted(t, c, "n")
	k.lapse(t)
	k.held(t, c.Key)
	k.settled(t, end(c, dedupe.NotBegun))
	counts(t, k.fresh(t, c.Key), 0, 0)
}

func noteSuperseded(t *testing.T, k *kit) {
	old := k.claim(t, k.brief(key("a")), dedupe.Fresh)
	k.lapse(t)
	c, d := k.fresh(t, key("a")), k.fresh(t, key("d"))
	k.settled(t, end(d, dedupe.Succeeded))
	free := k.fresh(t, key("free"))
	k.settled(t, end(free, dedupe.NotBegun))
	beside := k.fresh(t, key("beside"))
	oks := k.notes(t, dedupe.Note{Claim: old, Text: "old"}, dedupe.Note{Claim: beside, Text: "kept"},
		dedupe.Note{Claim: d, Text: "late"}, dedupe.Note{Claim: free, Text: "late"})
	if want := []bool{false, true, false, false}; fmt.Sprint(oks) != fmt.Sprint(want) {
		t.Errorf("kept: %v, want %v: of another's claim, one's own, a done one, a free one", oks, want)
	}
	k.settled(t, end(c, dedupe.Failed))
	hasNote(t, k.fresh(t, c.Key), "")
	hasNote(t, k.claim(t, k.request(d.Key), dedupe.Done), "")
	hasNote(t, k.fresh(t, free.Key), "")
	hasNote(t, k.held(t, beside.Key), "kept")
}

func noteAbsent(t *testing.T, k *kit) {
	c := k.vanished("a")
	k.noted(t, c, "again")
	hasNote(t, k.held(t, c.Key), "again")
	c.Note = "again"
	k.settled(t, end(c, dedupe.NotBegun))
	next := k.fresh(t, c.Key)
	counts(t, next, 2, 1)
	hasNote(t, next, "again")

	known := k.vanished("known") // the owner knows its note
	known.Note = "known"
	k.settled(t, end(known, dedupe.Failed))
	hasNote(t, k.fresh(t, known.Key), "known")
}

func noteExpires(t *testing.T, k *kit) {
	c := k.fresh(t, key("a"))
	k.noted(t, c, "n")
	s := end(c, dedupe.Succeeded)
	s.TTL = k.h.TTL
	k.settled(t, s)
	k.expire(t)
	hasNote(t, k.fresh(t, c.Key), "")
}

func noteMarked(t *testing.T, k *kit) {
	c := k.fresh(t, key("a"))
	k.noted(t, c, "n")
	k.mark(t, doneMark(c.Key))
	hasNote(t, k.claim(t, k.request(c.Key), dedupe.Done), "")
}

func noteRefused(t *testing.T, k *kit) {
	cs := k.claims(t, k.requests(keys(4))...)
	texts := []string{"", strings.Repeat("x", dedupe.MaxNote+1), "no\xffUTF-8", strings.Repeat("x", dedupe.MaxNote)}
	ns := make([]dedupe.Note, len(cs))
	for i := range cs {
		ns[i] = dedupe.Note{Claim: cs[i], Text: texts[i]}
	}
	errs, err := k.noter.Note(t.Context(), ns, lasting, keeping)
	if err != nil {
		t.Fatalf("Note: %v", err)
	}
	for i := range 3 {
		if !errors.Is(errs[i], dedupe.ErrKeyRefused) {
			t.Errorf("note %.20q: %v, want ErrKeyRefused", texts[i], errs[i])
		}
	}
	if errs[3] != nil {
		t.Errorf("the longest note beside those: %v", errs[3])
	}
}

func noteBatch(t *testing.T, k *kit) {
	const n = 1200
	cs := k.claims(t, k.requests(keys(n))...)
	ns := make([]dedupe.Note, n)
	for i := range cs {
		ns[i] = dedupe.Note{Claim: cs[i], Text: fmt.Sprint("note ", i%3)}
	}
	for i, ok := range k.notes(t, ns...) {
		if !ok {
			t.Fatalf("note %d of %d: superseded, want kept", i, n)
		}
	}
	for i, c := range k.claims(t, k.requests(keys(n))...) {
		if c.Note != ns[i].Text {
			t.Fatalf("note %d of %d is %q, want %q", i, n, c.Note, ns[i].Text)
		}
	}
}

func noteReopened(t *testing.T, k *kit) {
	c := k.deadLetteringKey(t, key("a"), lasting)
	k.noted(t, c, "n")
	k.reopen(t, c.Key)
	hasNote(t, k.fresh(t, c.Key), "")
}

func notedAgain(t *testing.T, k *kit, key dedupe.Key) probe {
	t.Helper()
	c := k.fresh(t, key)
	return probe{
		call: func(ctx context.Context) (any, error) {
			oks, err := applied(k.noter.Note(ctx, []dedupe.Note{{Claim: c, Text: "n"}}, lasting, keeping))
			if err != nil {
				return nil, err
			}
			return oks[0], nil
		},
		check: func(t *testing.T, answer any) {
			t.Helper()
			if answer != true {
				t.Errorf("note of %s: %v, want true", key, answer)
			}
			hasNote(t, k.held(t, key), "n")
			k.settled(t, end(c, dedupe.Failed))
			counts(t, k.fresh(t, key), 1, 0)
		},
	}
}
