package jetstream

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/onceish/onceish/internal/percent"
)

// ConsumerName is the durable consumer of a group on a topic: readable, legal everywhere
// ([A-Za-z0-9_-]), and different for different (group, topic).
func ConsumerName(group, topic string) string {
	return sanitizeName(group) + "-" + sanitizeName(topic) + "-" + hashName(group, topic)
}

// StreamName is the stream that is made for a topic unless Provision.Name says otherwise. It is
// different for different topics.
func StreamName(topic string) string {
	return sanitizeName(topic) + "-" + hashName(topic)
}

const maxReadable = 48

// sanitizeName keeps what of s is legal in names.
func sanitizeName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '-' || r < 0x80 && percent.LetterOrDigit(byte(r)) {
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), maxReadable)]
}

// hashName tells lists of strings apart: 80 bits, in letters of one case, for file systems that
// do not tell cases apart.
func hashName(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:10]))
}
