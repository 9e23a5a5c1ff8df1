package jsonobject

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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

// Member returns the value of a member as it is written, or nil if there is none. Of several, the
// last counts.
func (o Object) Member(name string) (value []byte) {
	gjson.Parse(string(o)).ForEach(func(key, member gjson.Result) bool {
		if isKey(key.Raw, name) {
			value = []byte(member.Raw)
		}
		return true
	})
	return value
}

// isKey reports whether a key, in quotes, is the name as encoding/json reads it.
func isKey(quoted, name string) bool {
	if strings.IndexByte(quoted, '\\') < 0 && utf8.ValidString(quoted) {
		return quoted[1:len(quoted)-1] == name
	}
	var s string
	return json.Unmarshal([]byte(quoted), &s) == nil && s == name
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
	case len(raw) > 2 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0:
		return string(raw[1 : len(raw)-1]), nil
	case raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", fmt.Errorf("field %q: %w", name, err)
		}
		if s == "" {
			return "", fmt.Errorf("field %q is empty", name)
		}
		return s, nil
	case raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9':
		return string(raw), nil
	}
	return "", fmt.Errorf("field %q is neither a string nor a number: %.32s", name, raw)
}
