package memory

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/onceish/onceish/dedupe"
)

// keyID stands for a key: half of the SHA-256 of an injective encoding. Whoever chooses the ids of
// events needs 2^64 trials for two that are mistaken for each other.
type keyID [16]byte

func keyIDOf(k dedupe.Key) keyID {
	var space [256]byte
	b := space[:0]
	for _, part := range [...]string{k.Topic, k.Group, k.ID} {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	sum := sha256.Sum256(append(b, k.Scope...))
	return keyID(sum[:16])
}

// keyIDsOf hashes the keys of a call's items, which is done before the store is locked.
func keyIDsOf[T any](items []T, key func(*T) dedupe.Key) []keyID {
	ids := make([]keyID, len(items))
	for i := range items {
		ids[i] = keyIDOf(key(&items[i]))
	}
	return ids
}
