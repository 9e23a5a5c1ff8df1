package lines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/uuid7"
)

// lineParser makes events of lines.
type lineParser struct {
	topic             string
	idField, keyField string // empty: not asked for
}

// defaultIDField names a JSON object unless another field was asked for.
const defaultIDField = "id"

// parseLine reads a line. Without an id of its own the line gets a fresh one: two equal lines are
// two events. An id that cannot be one is no such line.
func (p *lineParser) parseLine(line []byte, now time.Time) (bus.Event, error) {
	e := bus.Event{Topic: p.topic, Time: now, Data: line}
	fields, err := readObject(line)
	if err == nil {
		e.ContentType = "application/json"
		if p.idField == "" && fields.member(defaultIDField) != nil {
			if e.ID, err = textField(fields, defaultIDField); err != nil {
				return e, fmt.Errorf("%w: a fresh id would make another event of it each time; name the field that has its id", err)
			}
		}
	} else if p.idField != "" || p.keyField != "" {
		return e, fmt.Errorf("not a JSON object: %w", err)
	}
	if p.idField != "" {
		if e.ID, err = textField(fields, p.idField); err != nil {
			return e, err
		}
	}
	if p.keyField != "" {
		if e.Key, err = textField(fields, p.keyField); err != nil {
			return e, err
		}
	}
	if e.ID == "" {
		e.ID = uuid7.New(now)
	}
	return e, nil
}

// text is a field that is a string or a number, which is taken as it is written.
func textField(fields jsonObject, name string) (string, error) {
	if fields == "" {
		return "", errNoObject
	}
	raw := fields.member(name)
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
