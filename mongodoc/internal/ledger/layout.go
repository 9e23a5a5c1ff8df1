package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/waitingevents"
)

// Field is the reserved field, and Prefix begins the paths below it.
const (
	Field  = waitingevents.Field
	Prefix = Field + "."
)

// Paths of what is in it.
const (
	Seq     = Prefix + "seq"
	Since   = Prefix + "since"
	Applied = Prefix + "applied"
	Marks   = Applied + ".k"
	Events  = Prefix + "events"
	Waits   = waitingevents.Flag
	BaseAt  = Prefix + "base"
)

// markSize is 128 bits of a SHA-256: no two are ever alike, and a document keeps thousands.
const markSize = 16

// Mark is what an event's change of a document is known by. It is binary, so that no collation
// takes two for one.
func Mark(key dedupe.Key, step string) bson.Binary {
	sum := digestParts(append(keyParts(key), step)...)
	return bson.Binary{Data: sum[:markSize]}
}

// keyParts are three, or four of a key with a payload.
func keyParts(key dedupe.Key) []string {
	parts := []string{key.Topic, key.Group, key.ID}
	if key.Scope != "" {
		parts = append(parts, key.Scope)
	}
	return parts
}

// digestParts tells any two lists of texts apart.
func digestParts(parts ...string) [sha256.Size]byte {
	text := make([]byte, 0, 256)
	for _, p := range parts {
		text = append(binary.AppendUvarint(text, uint64(len(p))), p...)
	}
	return sha256.Sum256(text)
}

// Reserved reports whether a path is the reserved field, or is below it.
func Reserved(path string) bool { return path == Field || strings.HasPrefix(path, Prefix) }
