package lines

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

var errNoObject = errors.New("it does not begin with '{'")

// jsonObject is a valid JSON object in one line. Only its outermost level is looked at, and nothing
// is decoded: lines come by the million.
type jsonObject string

// readObject returns why a line is no JSON object.
func readObject(line []byte) (jsonObject, error) {
	trimmed := bytes.TrimLeft(line, " \t")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return "", errNoObject
	}
	if json.Valid(line) {
		return jsonObject(trimmed), nil
	}
	var all map[string]json.RawMessage
	return "", json.Unmarshal(line, &all) // it knows why
}

// member returns the value of a member as it is written, or nil if there is none. Of several, the
// last counts.
func (o jsonObject) member(name string) (value []byte) {
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
