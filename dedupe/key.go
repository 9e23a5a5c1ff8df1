package dedupe

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
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
	// Payload is empty in the keys of events that are handled. Otherwise the key is for one payload
	// under that ID alone, of which this is the hash in hexadecimal digits: for an event that
	// cannot have the ID to itself, such as one whose ID was used before for another payload. So no
	// ID that somebody chooses is ever taken for such a key.
	Payload string
}

// String is the readable form: topic::group::id, or topic::group::id::payload if there is a
// Payload, with '%', ':', control characters and what is not UTF-8 percent-encoded in the parts. A
// part that takes over 512 bytes so is replaced by "sha256:" and its hash. It is injective. A store
// may encode a Key in its own way.
func (k Key) String() string {
	s := part(k.Topic) + "::" + part(k.Group) + "::" + part(k.ID)
	if k.Payload != "" {
		s += "::" + part(k.Payload)
	}
	return s
}

// part is empty, or holds no ':' but in "sha256:…", which no escaped text holds.
func part(s string) string {
	if len(s) <= maxPart {
		if escaped := escape(s); len(escaped) <= maxPart {
			return escaped
		}
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func escape(s string) string {
	if !needsEscape(s) {
		return s
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i, r := range s {
		size := len(string(r))
		if r == '\uFFFD' && !strings.HasPrefix(s[i:], "\uFFFD") {
			size = 1 // a byte that is no UTF-8
		} else if !special(r) {
			b.WriteRune(r)
			continue
		}
		for _, c := range []byte(s[i : i+size]) {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

func needsEscape(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r == '\uFFFD' || special(r) })
}

func special(r rune) bool { return r == '%' || r == ':' || r < ' ' || r >= 0x7f && r < 0xa0 }
