package wake

import "strings"

// prefix is what a NATS user needs permission for, to publish and to subscribe: onceish.outbox.>
const prefix = "onceish.outbox"

// Subject is the subject of the outbox of that name; a name may have several parts, such as a
// database and a collection. Different names have different subjects.
func Subject(name ...string) string {
	var b strings.Builder
	b.WriteString(prefix)
	for _, part := range name {
		b.WriteByte('.')
		encode(&b, part)
	}
	return b.String()
}

// encode writes a part as one token: all but letters, digits, '-' and '_' is percent-encoded, and
// nothing at all is a lone '%'.
func encode(b *strings.Builder, part string) {
	const hex = "0123456789ABCDEF"
	if part == "" {
		b.WriteByte('%')
	}
	for i := range len(part) {
		c := part[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
}
