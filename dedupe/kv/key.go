package kv

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/percent"
)

// maxPart bounds an encoded part of a key in bytes. Four of them, and the reply's subject, have to
// fit the server's bound on a protocol line, 4,096 bytes by default: who exceeds it is disconnected
// for good.
const maxPart = 512

// Kinds of keys: the first token, so that no watermark can ever be a dedupe key.
const (
	kindEvent     = "e"
	kindWatermark = "w"
	kindProbe     = "probe"
)

// eventKey is e.<topic>.<group>.<id>, or e.<topic>.<group>.<id>.<payload> if there is a payload. It
// is injective.
func eventKey(k dedupe.Key) string {
	if k.Scope == "" {
		return joinKey(kindEvent, k.Topic, k.Group, k.ID)
	}
	return joinKey(kindEvent, k.Topic, k.Group, k.ID, k.Scope)
}

// watermarkKey is w.<group>.<topic>. It is injective.
func watermarkKey(group, topic string) string { return joinKey(kindWatermark, group, topic) }

func joinKey(kind string, parts ...string) string {
	n := len(kind)
	for _, p := range parts {
		n += 1 + min(len(p), maxPart)
	}
	b := make([]byte, 0, n+n/4)
	b = append(b, kind...)
	for _, p := range parts {
		b = appendPart(append(b, '.'), p)
	}
	return string(b)
}

// appendPart writes one token. Letters, digits and "-_/" stand for themselves, other bytes are
// "=XX" with capital digits, so two forms are left over: "=" is the empty part, and "=sha256-…" one
// that would be too long.
func appendPart(b []byte, s string) []byte {
	if s == "" {
		return append(b, '=')
	}
	start := len(b)
	if len(s) <= maxPart {
		b = percent.Append(b, '=', s, isPlain)
	}
	if len(s) > maxPart || len(b)-start > maxPart {
		sum := sha256.Sum256([]byte(s))
		return hex.AppendEncode(append(b[:start], "=sha256-"...), sum[:])
	}
	return b
}

func isPlain(c byte) bool {
	return percent.LetterOrDigit(c) || strings.IndexByte("-_/", c) >= 0
}
