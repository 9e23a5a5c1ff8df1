package kv

import "github.com/onceish/onceish/internal/percent"

// isPlain reports whether a byte of a key stands for itself; others are "=XX".
func isPlain(c byte) bool { return percent.LetterOrDigit(c) || c == '-' || c == '_' || c == '/' }

// escapeKey writes a key as a token of a subject.
func escapeKey(key string) string { return string(percent.Append(nil, '=', key, isPlain)) }

// unescapeKey reads such a token; ok is false if escapeKey did not write it.
func unescapeKey(token string) (key string, ok bool) { return percent.Decode('=', token, isPlain) }
