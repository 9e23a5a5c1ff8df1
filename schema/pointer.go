package schema

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxShownPointer is how many bytes of a pointer messages show.
const maxShownPointer = 256

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// pointerOf is the JSON Pointer of a path.
func pointerOf(path []string) string {
	var b strings.Builder
	for _, token := range path {
		b.WriteByte('/')
		b.WriteString(pointerEscaper.Replace(token))
	}
	return b.String()
}

// appendPointer adds tokens to a JSON Pointer.
func appendPointer(pointer string, tokens ...string) string { return pointer + pointerOf(tokens) }

// showPointer is the pointer of a path for people: "/" is the whole value.
func showPointer(path []string) string {
	shown := pointerOf(path)
	if shown == "" {
		return "/"
	}
	return clip(shown, maxShownPointer)
}

// clip shortens a text to about so many bytes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// lookUp returns what a JSON Pointer in a fragment ("#/$defs/a") leads to, and its pointer.
func lookUp(root any, fragment string) (v any, pointer string, ok bool) {
	pointer, err := url.PathUnescape(strings.TrimPrefix(fragment, "#"))
	if err != nil {
		return nil, "", false
	}
	v, ok = follow(root, pointer)
	return v, pointer, ok
}

var pointerUnescaper = strings.NewReplacer("~1", "/", "~0", "~")

// follow returns what a JSON Pointer leads to.
func follow(v any, pointer string) (_ any, ok bool) {
	if pointer == "" {
		return v, true
	}
	if pointer[0] != '/' {
		return nil, false
	}
	for token := range strings.SplitSeq(pointer[1:], "/") {
		token = pointerUnescaper.Replace(token)
		switch at := v.(type) {
		case map[string]any:
			if v, ok = at[token]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(at) || strconv.Itoa(i) != token {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}
