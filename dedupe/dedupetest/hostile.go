package dedupetest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/bits"
	"strings"
	"testing"

	"github.com/onceish/onceish/dedupe"
)

func hostileCases(able *kit) []testcase {
	all := []testcase{{"Hostile/marks are distinct", hostileMarks}}
	if able.claimer != nil {
		all = append(all, testcase{"Hostile/claims are distinct", hostileClaims})
	}
	return all
}

// hostileParts are texts that encodings, query languages and subjects trip over, and pairs that
// naive ones confuse.
func hostileParts() []string {
	long := strings.Repeat("x", 600)
	sum := sha256.Sum256([]byte(long))
	digest := hex.EncodeToString(sum[:])
	mega := strings.Repeat("m", 1<<20)
	return []string{
		"", " ", "  ", "a", "A", "a ", " a", "a.", ".a", ".", "..", "a.b", "a..b", "*", ">", "a.*", "a.>",
		":", "::", "a:", ":a", "a::b", "a:b", "%", "%3A", "%3a", "%253A", "a%3Ab", "a%3A%3Ab", "%00",
		"\x00", "a\x00", "a\x00b", "\x01", "\t", "\n", "\r\n", "\x7f", "\u0085", "\u00a0", "\u200d", "\ufeff",
		"\xff", "\xfe", "\ufffd", "%FF", "a\xffb", "a\xfeb", "a\ufffdb", "\xc3", "\xc3\x28", "\xed\xa0\x80",
		"é", "e\u0301", "ß", "ss", "ſ", "s", "K", "\u212a", "k", "💥",
		"$", "$where", "{$ne: null}", "{}", "null", "0", "-0", "0.0", "00", "true", "a=b", "a/b", "a\\b", "/", "_", "-",
		"=", "YQ==", "YQ", "61", "0x61", "'", "\"", "`", "';--", "sha256:", "sha256:" + digest, digest,
		strings.Repeat("y", 511), strings.Repeat("y", 512), strings.Repeat("y", 513),
		strings.Repeat("\xff", 512), strings.Repeat("\xfe", 512), strings.Repeat("\x00", 512),
		long, long + "\x00", mega, mega[1:], mega[1:] + "n", "n" + mega[1:],
	}
}

// hostileKeys has those parts in every place, and parts that slide over the separator.
func hostileKeys() []dedupe.Key {
	seen := make(map[dedupe.Key]bool)
	var all []dedupe.Key
	add := func(k dedupe.Key) {
		if !seen[k] {
			seen[k] = true
			all = append(all, k)
		}
	}
	for _, p := range hostileParts() {
		add(dedupe.Key{Topic: "t", Group: "g", ID: p})
		if len(p) < 1<<19 {
			add(dedupe.Key{Topic: p, Group: "g", ID: "i"})
			add(dedupe.Key{Topic: "t", Group: p, ID: "i"})
			add(dedupe.Key{Topic: "t", Group: "g", ID: "i", Scope: p})
		}
	}
	for _, sep := range []string{":", "::", ".", "/", "\x00", "%", "-", "_", " ", "|", ",", "%3A%3A", "sha256:"} {
		add(dedupe.Key{Topic: "a" + sep + "b", Group: "c", ID: "d"})
		add(dedupe.Key{Topic: "a", Group: "b" + sep + "c", ID: "d"})
		add(dedupe.Key{Topic: "a", Group: "b", ID: "c" + sep + "d"})
		add(dedupe.Key{Topic: "a" + sep, Group: "b", ID: "c"})
		add(dedupe.Key{Topic: "a", Group: sep + "b", ID: "c"})
		add(dedupe.Key{Topic: "a", Group: "b" + sep, ID: "c"})
		add(dedupe.Key{Topic: "a", Group: "b", ID: sep + "c"})
		add(dedupe.Key{Topic: "a", Group: "b", ID: "c", Scope: "d" + sep})
		add(dedupe.Key{Topic: "a", Group: "b", ID: "c" + sep, Scope: "d"})
		add(dedupe.Key{Group: sep})
	}
	add(dedupe.Key{})
	add(dedupe.Key{Topic: "ab", Group: "c"})
	add(dedupe.Key{Topic: "a", Group: "bc"})
	add(dedupe.Key{Topic: "a", Group: "b", ID: "c"})
	add(dedupe.Key{Group: "ab", ID: "c"})
	add(dedupe.Key{Group: "abc"})
	add(dedupe.Key{Topic: "a", Group: "b", ID: "c#d"})
	add(dedupe.Key{Topic: "a", Group: "b", Scope: "cd"})
	add(dedupe.Key{Topic: "a", Group: "b", ID: "c", Scope: "d"})
	add(dedupe.Key{Topic: "a", Group: "b", ID: "cd"})
	return all
}

func short(k dedupe.Key) string {
	s := k.String()
	return s[:min(len(s), 200)]
}

// halved reports whether a key is in one half of the list, and not in the other. The halves have no
// period: keys that are alike lie at regular distances, and must not be all in one half.
func halved(i int) bool { return bits.OnesCount(uint(i))%2 == 0 }

func hostileMarks(t *testing.T, k *kit) {
	ks := hostileKeys()
	var marks []dedupe.Mark
	for i := range ks {
		if halved(i) {
			marks = append(marks, doneMark(ks[i]))
		}
	}
	k.mark(t, marks...)
	for i, r := range k.seen(t, ks...) {
		want := dedupe.Fresh
		if halved(i) {
			want = dedupe.Done
		}
		if r.State != want {
			t.Errorf("hostile key %d, %q: %v, want %v", i, short(ks[i]), r.State, want)
		}
	}
}

func hostileClaims(t *testing.T, k *kit) {
	var ended []dedupe.Settlement
	var kept []dedupe.Key
	for i, c := range k.claims(t, k.requests(hostileKeys())...) {
		switch {
		case c.Err != nil:
			if !errors.Is(c.Err, dedupe.ErrKeyRefused) {
				t.Errorf("hostile key %q: refused by %v, want an ErrKeyRefused", short(c.Key), c.Err)
			}
			continue
		case c.State != dedupe.Fresh:
			t.Errorf("hostile key %d, %q: %v, want fresh", i, short(c.Key), c.State)
		}
		if kept = append(kept, c.Key); len(kept)%2 == 0 {
			ended = append(ended, end(c, dedupe.Succeeded))
		}
	}
	for i, ok := range k.settles(t, ended...) {
		if !ok {
			t.Errorf("hostile key %q: superseded", short(ended[i].Claim.Key))
		}
	}
	for i, c := range k.claims(t, k.requests(kept)...) {
		want := dedupe.Held
		if i%2 == 1 {
			want = dedupe.Done
		}
		if c.State != want {
			t.Errorf("hostile key %q: %v, want %v", short(c.Key), c.State, want)
		}
	}
}
