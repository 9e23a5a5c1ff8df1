package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
)

// lineParser makes events of lines.
type lineParser struct {
	topic             string
	idField, keyField string // empty: not asked for
}

// defaultIDField names a JSON object unless another field was asked for.
const defaultIDField = "id"

// event reads a line. Without an id of its own the line gets a fresh one: two equal lines are two events.
func (p *lineParser) event(line []byte, now time.Time) (bus.Event, error) {
	e := bus.Event{Topic: p.topic, Time: now, Data: line}
	fields, err := object(line)
	if err == nil {
		e.ContentType = "application/json"
		e.ID, _ = text(fields, defaultIDField)
	} else if p.idField != "" || p.keyField != "" {
		return e, fmt.Errorf("not a JSON object: %w", err)
	}
	if p.idField != "" {
		if e.ID, err = text(fields, p.idField); err != nil {
			return e, err
		}
	}
	if p.keyField != "" {
		if e.Key, err = text(fields, p.keyField); err != nil {
			return e, err
		}
	}
	if e.ID == "" {
		e.ID = newID(now)
	}
	return e, nil
}

var errNoObject = errors.New("it does not begin with '{'")

// object decodes only the outermost level.
func object(line []byte) (map[string]json.RawMessage, error) {
	if trimmed := bytes.TrimLeft(line, " \t"); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, errNoObject
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, err
	}
	return fields, nil
}

// text is a field that is a string or a number, which is taken as it is written.
func text(fields map[string]json.RawMessage, name string) (string, error) {
	raw, ok := fields[name]
	switch {
	case !ok:
		return "", fmt.Errorf("it has no field %q", name)
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
