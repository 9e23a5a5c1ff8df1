package ndjson

import (
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/jsonobject"
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
	fields, err := jsonobject.Read(line)
	if err == nil {
		e.ContentType = "application/json"
		if p.idField == "" && fields.Member(defaultIDField) != nil {
			if e.ID, err = fields.Text(defaultIDField); err != nil {
				return e, fmt.Errorf("%w: a fresh id would make another event of it each time; name the field that has its id", err)
			}
		}
	} else if p.idField != "" || p.keyField != "" {
		return e, fmt.Errorf("not a JSON object: %w", err)
	}
	if p.idField != "" {
		if e.ID, err = fields.Text(p.idField); err != nil {
			return e, err
		}
	}
	if p.keyField != "" {
		if e.Key, err = fields.Text(p.keyField); err != nil {
			return e, err
		}
	}
	if e.ID == "" {
		e.ID = uuid7.New(now)
	}
	return e, nil
}
