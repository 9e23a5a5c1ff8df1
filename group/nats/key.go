package nats

import (
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/percent"
)

// prefix is that of the keys of a group in a space, with the dot at its end.
func prefix(space group.Space, name string) string {
	kind := map[group.Space]string{group.MemberRows: "m.", group.LeaseRows: "l.", group.PauseRows: "p.", group.PlanRows: "a."}[space]
	return kind + escape(name) + "."
}

// escape writes one token of a key. It is injective.
func escape(s string) string {
	return string(percent.Append(nil, '=', s, isPlain))
}

// unescape reads a token of a key; ok is false if escape did not write it.
func unescape(token string) (s string, ok bool) { return percent.Decode('=', token, isPlain) }

// isPlain reports whether a byte stands for itself; others are "=XX".
func isPlain(c byte) bool { return percent.LetterOrDigit(c) || c == '-' || c == '_' || c == '/' }
