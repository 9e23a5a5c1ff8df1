package jsonobject

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

var errNotObject = errors.New("it does not begin with '{'")

// Object is a valid JSON object. Only its outermost level is looked at, and nothing is decoded:
// lines come by the million.
type Object string

// Read returns why a text is no JSON object.
func Read(line []byte) (Object, error) {
	trimmed := bytes.TrimLeft(line, " \t")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return "", errNotObject
	}
	if json.Valid(line) {
		return Object(trimmed), nil
	}
	var all map[string]json.RawMessage
	return "", json.Unmarshal(line, &all) // it knows why
}

// Members returns the names and values of all members, in their order, each value as it is written.
func (o Object) Members() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		gjson.Parse(string(o)).ForEach(func(key, member gjson.Result) bool {
			name, err := String(key.Raw)
			return err == nil && yield(name, member.Raw) // it is valid JSON: there is no error
		})
	}
}

// Member returns the value of a member as it is written, or nil if there is none. Of several, the
// last counts.
func (o Object) Member(name string) (value []byte) {
	for n, raw := range o.Members() {
		if n == name {
			value = []byte(raw)
		}
	}
	return value
}

// String returns the text of a value that is a string.
func String(raw string) (string, error) {
	switch {
	case raw == "" || raw[0] != '"':
		return "", fmt.Errorf("%.32s is no string", raw)
	case strings.IndexByte(raw, '\\') < 0 && utf8.ValidString(raw):
		return raw[1 : len(raw)-1], nil
	}
	var s string
	err := json.Unmarshal([]byte(raw), &s)
	return s, err
}

// Text returns a member that is a string, not empty, or a number, which is taken as it is written.
func (o Object) Text(name string) (string, error) {
	if o == "" {
		return "", errNotObject
	}
	raw := o.Member(name)
	switch {
	case raw == nil:
		return "", fmt.Errorf("it has no field %q", name)
	case !utf8.Valid(raw):
		return "", fmt.Errorf("field %q is no UTF-8: %.32q", name, raw)
	case raw[0] == '"':
		s, err := String(string(raw))
		switch {
		case err != nil:
			return "", fmt.Errorf("field %q: %w", name, err)
		case s == "":
			return "", fmt.Errorf("field %q is empty", name)
		}
		return s, nil
	case raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9':
		return string(raw), nil
	}
	return "", fmt.Errorf("field %q is neither a string nor a number: %.32s", name, raw)
}
