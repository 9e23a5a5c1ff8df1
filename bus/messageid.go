package bus

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/onceish/onceish/internal/percent"
)

// maxMessageID bounds a message id in bytes; a longer one is hashed.
const maxMessageID = 512

// MessageID is the id under which a bus that deduplicates what is published to it knows an event.
// It is never the bare id: such a bus looks at one stream whatever the topic, and would swallow one
// id on two topics, or with two payloads. It is an injective encoding of logical topic, source, id,
// payload hash, redriven letter, copy and scope, in visible ASCII. A dead letter's depends on its
// letter id alone, so that a letter published again, with other times or another error, is still
// that letter. Control headers count only on the event that they were written for: copied to
// another one they would have it swallowed.
func MessageID(e *Event) string {
	control, _ := e.Control() // zero if it is another event's
	if control.Letter != "" {
		return boundID("letter:" + visible(LogicalTopic(e.Topic)) + ":" + visible(control.Letter) + copyOf(control))
	}
	source := e.Source
	if source == DefaultSource {
		source = ""
	}
	data := sha256.Sum256(e.Data)
	return boundID("event:" + visible(LogicalTopic(e.Topic)) + ":" + visible(source) + ":" + visible(e.ID) + ":" +
		hex.EncodeToString(data[:16]) + ":" + visible(control.Redriven) + copyOf(control))
}

// copyOf ends the id of a copy that is to be stored beside what the bus knows.
func copyOf(c Control) string {
	switch {
	case c.Again != "":
		return ":" + visible(c.Copy) + ":" + visible(c.Again)
	case c.Copy != "":
		return ":" + visible(c.Copy)
	}
	return ""
}

// boundID hashes what is too long. "sha256" is the first part of no other id.
func boundID(id string) string {
	if len(id) <= maxMessageID {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// visible percent-encodes what is not a letter, a digit or one of "-._~{}@/".
func visible(s string) string { return percent.Encode(s, plain) }

func plain(c byte) bool { return plainBytes[c] }

// plainBytes are in a table, for each event that is published has ids of many bytes.
var plainBytes = func() (plain [256]bool) {
	for c := range 256 {
		plain[c] = percent.LetterOrDigit(byte(c)) || strings.IndexByte("-._~{}@/", byte(c)) >= 0
	}
	return plain
}()
