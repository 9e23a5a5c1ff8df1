package notify

import "github.com/onceish/onceish/internal/percent"

// prefix is what a NATS user needs permission for, to publish and to subscribe: onceish.outbox.>
const prefix = "onceish.outbox"

// Subject returns the subject of the outbox of that name. A name may have several parts, such as a
// database and a collection. Different names have different subjects.
func Subject(name ...string) string {
	subject := []byte(prefix)
	for _, part := range name {
		subject = appendToken(append(subject, '.'), part)
	}
	return string(subject)
}

// appendToken appends a part as one token: everything but letters, digits, '-' and '_' is
// percent-encoded, and an empty part is a single '%'.
func appendToken(b []byte, part string) []byte {
	if part == "" {
		return append(b, '%')
	}
	return percent.Append(b, '%', part, func(c byte) bool { return percent.LetterOrDigit(c) || c == '-' || c == '_' })
}
