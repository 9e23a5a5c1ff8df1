package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/onceish/onceish/internal/commandline"
)

// hint asks whether a name near to word was meant, and else lists all.
func hint(word string, valid []string) string {
	if near := commandline.Nearest(word, valid); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "use " + list(valid)
}

// list is "a, b or c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// nameable reports whether a key can be shown: one that looks like a name, not like a URL or a header
// that slipped into its place.
func nameable(key string) bool { return plainName.MatchString(key) }

// quote shows a value, or its beginning.
func quote(value string) string {
	if len(value) > 64 {
		value = strings.ToValidUTF8(value[:64], "") + "…"
	}
	return strconv.Quote(value)
}
