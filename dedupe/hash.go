package dedupe

import (
	"bytes"
	"fmt"
)

// MaxHash is the longest hash that a store keeps, in bytes. An item with a longer one is
// refused (ErrKeyRefused).
const MaxHash = 128

// maxAlgorithm is the longest name of an algorithm.
const maxAlgorithm = 32

// NewHash returns the hash of a payload as stores keep it: the algorithm's name, a colon, and
// the sum. The name says how the sum was computed, canonical form included; ValidAlgorithm says
// what it may be.
func NewHash(algorithm string, sum []byte) []byte {
	h := make([]byte, 0, len(algorithm)+1+len(sum))
	return append(append(append(h, algorithm...), ':'), sum...)
}

// CheckHash returns an error that wraps ErrKeyRefused when a hash is longer than MaxHash.
func CheckHash(hash []byte) error {
	if len(hash) > MaxHash {
		return fmt.Errorf("%w: its hash has %d bytes, the most is %d", ErrKeyRefused, len(hash), MaxHash)
	}
	return nil
}

// ValidAlgorithm reports whether a name is 1 to 32 lower-case letters, digits, '.', '_' and '-'.
func ValidAlgorithm(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return name != "" && len(name) <= maxAlgorithm
}

// Differ reports whether two hashes say that their payloads differ. Hashes of different algorithms
// say nothing, and neither does one that is empty. A hash without an algorithm in it is compared
// with others that have none.
func Differ(a, b []byte) bool {
	return len(a) > 0 && len(b) > 0 && !bytes.Equal(a, b) && algorithmOf(a) == algorithmOf(b)
}

func algorithmOf(hash []byte) string {
	name, _, ok := bytes.Cut(hash[:min(len(hash), maxAlgorithm+1)], []byte(":"))
	if !ok || !ValidAlgorithm(string(name)) {
		return ""
	}
	return string(name)
}
