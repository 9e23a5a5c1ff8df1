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
	b := binary.AppendUvarint(space[:0], uint64(len(k.Topic)))
	b = append(b, k.Topic...)
	b = binary.AppendUvarint(b, uint64(len(k.Group)))
	b = append(b, k.Group...)
	b = binary.AppendUvarint(b, uint64(len(k.ID)))
	b = append(b, k.ID...)
	b = append(b, k.Payload...)
	sum := sha256.Sum256(b)
	return keyID(sum[:16])
}
