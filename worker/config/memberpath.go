package config

import (
	"fmt"
	"regexp"
	"strings"
)

// memberForm is a path of members. One that begins with a dollar sign is another language's.
var memberForm = regexp.MustCompile(`^[^.$][^.]*(\.[^.]+)*$`)

// memberPath is a member of a JSON payload, named by those that lead to it.
func memberPath[S any](name string, at func(*S) *string) *leaf[S, string] {
	const wants = "a member of the payload such as order.id"
	l := formed(name, wants, at, memberForm)
	formed := l.parse
	l.parse = func(s string) (string, error) {
		path, err := formed(s)
		plain := strings.TrimLeft(s, "$.")
		if err != nil && plain != s && memberForm.MatchString(plain) && variableMeant(s) == "" {
			err = fmt.Errorf("%s is not %s: write %s", quote(s), wants, plain)
		}
		return path, err
	}
	return l
}
