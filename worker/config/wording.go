package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/onceish/onceish/internal/commandline"
)

// nearestOrAll asks whether a name near to word was meant, and else lists all.
func nearestOrAll(word string, valid []string) string {
	if near := commandline.Nearest(word, valid); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "use " + orList(valid)
}

// orList is "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// isShowableName reports whether a key can be shown: one that looks like a name, not like a URL or
// a header that slipped into its place.
func isShowableName(key string) bool { return plainName.MatchString(key) }

// quoteShort shows a value, or its beginning.
func quoteShort(value string) string {
	if len(value) > 64 {
		value = strings.ToValidUTF8(value[:64], "") + "…"
	}
	return strconv.Quote(value)
}
