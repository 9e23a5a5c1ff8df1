package mongo

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/onceish/onceish/dedupe"
)

const (
	// maxKey is the longest _id in bytes that is kept readable. Some servers refuse what does not
	// fit an index page, and escaping can make a key nine times as long as its id.
	maxKey = 1024
	// hashPrefix and watermarkPrefix begin no Key's text: there two hexadecimal digits
	// follow every '%'.
	hashPrefix      = "%sha256:"
	watermarkPrefix = "%watermark::"
)

// keyID is the _id of a key's row: topic::group::id, or its hash where that is long.
func keyID(k dedupe.Key) string { return boundID(k.String()) }

func watermarkID(group, topic string) string {
	return watermarkPrefix + boundID(dedupe.Key{Topic: topic, Group: group}.String())
}

func boundID(text string) string {
	if len(text) <= maxKey {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return hashPrefix + hex.EncodeToString(sum[:])
}
