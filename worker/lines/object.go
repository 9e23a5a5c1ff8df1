package lines

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

var errNoObject = errors.New("it does not begin with '{'")

// object is a JSON object in one line. Only its outermost level is looked at, and nothing is
// decoded: lines come by the million.
type object []byte

// readObject says why a line is no JSON object.
func readObject(line []byte) (object, error) {
	trimmed := bytes.TrimLeft(line, " \t")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, errNoObject
	}
	if json.Valid(line) {
		return trimmed, nil
	}
	var all map[string]json.RawMessage
	return nil, json.Unmarshal(line, &all) // it knows why
}

// member returns the value of a member as it is written; nil if there is none. Of several
// the last counts.
func (o object) member(name string) (value []byte) {
	for at := 1; ; {
		at = o.space(at)
		if o[at] == ',' {
			at = o.space(at + 1)
		}
		if o[at] == '}' {
			return value
		}
		end := o.end(at)
		key := o[at:end]
		at = o.space(o.space(end) + 1) // the colon
		end = o.end(at)
		if named(key, name) {
			value = o[at:end]
		}
		at = end
	}
}

// space returns where what follows the white space is. The object is valid: there is an end before
// that of the slice.
func (o object) space(at int) int {
	for o[at] == ' ' || o[at] == '\t' || o[at] == '\n' || o[at] == '\r' {
		at++
	}
	return at
}

// end returns where the value ends that begins there.
func (o object) end(at int) int {
	depth := 0
	for {
		switch c := o[at]; c {
		case '"':
			at = o.quote(at)
			if depth == 0 {
				return at
			}
			continue
		case '{', '[':
			depth++
		case '}', ']', ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return at
			}
			if c == '}' || c == ']' {
				depth--
				if depth == 0 {
					return at + 1
				}
			}
		}
		at++
	}
}

// quote returns where the string ends that begins there.
func (o object) quote(at int) int {
	for at++; o[at] != '"'; at++ {
		if o[at] == '\\' {
			at++
		}
	}
	return at + 1
}

func named(key []byte, name string) bool {
	if bytes.IndexByte(key, '\\') < 0 && utf8.Valid(key) {
		return string(key[1:len(key)-1]) == name
	}
	var s string
	return json.Unmarshal(key, &s) == nil && s == name
}
