package config

import (
	"fmt"
	"regexp"
	"strings"
)

// memberForm is a path of members. One that begins with a dollar sign is another language's.
var memberForm = regexp.MustCompile(`^[^.$][^.]*(\.[^.]+)*$`)

// memberPathField is a member of a JSON payload, named by those that lead to it.
func memberPathField[S any](name string, at func(*S) *string) *scalarField[S, string] {
	const wants = "a member of the payload such as order.id"
	l := patternField(name, wants, at, memberForm)
	formed := l.parse
	l.parse = func(s string) (string, error) {
		path, err := formed(s)
		plain := strings.TrimLeft(s, "$.")
		if err != nil && plain != s && memberForm.MatchString(plain) && unexpandedVariable(s) == "" {
			err = fmt.Errorf("%s is not %s: write %s", quoteShort(s), wants, plain)
		}
		return path, err
	}
	return l
}
