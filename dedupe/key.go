package dedupe

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/onceish/onceish/internal/percent"
)

// maxPart is the longest part in bytes that is kept readable; MongoDB-compatible servers refuse
// keys of about 2,700 bytes.
const maxPart = 512

// Key names an event within a group: what a store keeps its state under. Its parts may
// hold any bytes.
type Key struct {
	// Topic is the event's own topic, not the pattern that was subscribed to.
	Topic string
	// Group is the scope of deduplication.
	Group string
	// ID is the event's identity within its topic.
	ID string
	// Scope is empty in the keys of events that are handled for the first time. Otherwise the key
	// is one of its own under that ID: no ID that somebody chooses is ever taken for such a key.
	// It is the hash of a payload in hexadecimal digits for an event that cannot have the ID to
	// itself, such as one whose ID was used before for another payload, and AgainScope of a name
	// for an event that runs a second time on purpose.
	Scope string
}

// AgainScope returns the Scope of events that run a second time on purpose, under a name: within
// it each event runs once, and the marks of the first time stay as they are. The empty name is the
// first time, which has none.
func AgainScope(name string) string {
	if name == "" {
		return ""
	}
	return "again:" + name
}

// String is the readable form: topic::group::id, or topic::group::id::scope if there is a
// Scope, with '%', ':', control characters and what is not UTF-8 percent-encoded in the parts. A
// part that takes over 512 bytes so is replaced by "sha256:" and its hash. It is injective. A store
// may encode a Key in its own way.
func (k Key) String() string {
	s := escapePart(k.Topic) + "::" + escapePart(k.Group) + "::" + escapePart(k.ID)
	if k.Scope != "" {
		s += "::" + escapePart(k.Scope)
	}
	return s
}

// escapePart is empty, or holds no ':' but in "sha256:…", which no escaped text holds.
func escapePart(s string) string {
	if len(s) <= maxPart {
		if escaped := escapeSpecial(s); len(escaped) <= maxPart {
			return escaped
		}
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func escapeSpecial(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == '\uFFFD' || isSpecial(r) }) {
		return s
	}
	out := make([]byte, 0, len(s)+16)
	for i, r := range s {
		size := len(string(r))
		switch invalid := r == '\uFFFD' && !strings.HasPrefix(s[i:], "\uFFFD"); {
		case invalid:
			out = percent.Append(out, '%', s[i:i+1], percent.None)
		case isSpecial(r):
			out = percent.Append(out, '%', s[i:i+size], percent.None)
		default:
			out = append(out, s[i:i+size]...)
		}
	}
	return string(out)
}

func isSpecial(r rune) bool { return r == '%' || r == ':' || r < ' ' || r >= 0x7f && r < 0xa0 }
