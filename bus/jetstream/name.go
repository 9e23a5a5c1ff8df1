package jetstream

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"
)

// ConsumerName is the durable consumer of a group on a topic: readable, legal everywhere
// ([A-Za-z0-9_-]), and different for different (group, topic).
func ConsumerName(group, topic string) string {
	return readable(group) + "-" + readable(topic) + "-" + fingerprint(group, topic)
}

// StreamName is the stream that is made for a topic unless Provision.Name says otherwise. It is
// different for different topics.
func StreamName(topic string) string {
	return readable(topic) + "-" + fingerprint(topic)
}

const maxReadable = 48

// readable keeps what of s is legal in names.
func readable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x80 && (plainByte(byte(r)) || r == '-') {
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), maxReadable)]
}

func plainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// fingerprint tells lists of strings apart: 80 bits, in letters of one case, for file systems that
// do not tell cases apart.
func fingerprint(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(strconv.Itoa(len(p)) + ":" + p))
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:10]))
}
