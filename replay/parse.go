package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/cloudevents"
	"github.com/onceish/onceish/internal/jsonobject"
)

// parsedLine is the members of a line as they are read.
type parsedLine struct {
	attributes

	data   string  // as it is written; empty: there is none
	base64 *[]byte // nil: there is none
}

// ParseLine reads what AppendLine has written, with or without the end of the line. The stream of
// its position is not known. A line with other members is refused: they would be lost.
func ParseLine(line []byte) (s bus.Stored, err error) {
	l, err := readMembers(line)
	if err != nil {
		return s, fmt.Errorf("no CloudEvent in JSON: %w", err)
	}
	if l.SpecVersion != cloudevents.SpecVersion {
		return s, fmt.Errorf("no CloudEvent of specversion %q: its specversion is %q", cloudevents.SpecVersion, l.SpecVersion)
	}
	s.Event = bus.Event{ID: l.ID, Source: l.Source, Type: l.Type, Topic: l.Topic, Key: l.Key, ContentType: l.ContentType, Headers: l.Headers}
	if s.Event.Time, err = parseTime("time", l.Time); err != nil {
		return s, err
	}
	if s.At.Stored, err = parseTime("streamtime", l.Stored); err != nil {
		return s, err
	}
	if l.Sequence != "" {
		if s.At.Sequence, err = strconv.ParseUint(l.Sequence, 10, 64); err != nil {
			return s, fmt.Errorf("its streamsequence %.32q is no number", l.Sequence)
		}
	}
	if s.Event.Data, err = parseData(l.data, l.base64, l.ContentType); err != nil {
		return s, err
	}
	return s, s.Event.Validate()
}

// readMembers reads the members of a line. Of several with one name the last counts.
func readMembers(line []byte) (l parsedLine, err error) {
	o, err := jsonobject.Read(line)
	if err != nil {
		return l, err
	}
	for name, value := range o.Members() {
		if err := l.setMember(name, value); err != nil {
			return l, fmt.Errorf("member %.64q: %w", name, err)
		}
	}
	return l, nil
}

// setMember takes in a member. Null is the same as none.
func (l *parsedLine) setMember(name, value string) (err error) {
	isNull := value == "null"
	switch name {
	case "data":
		if l.data = value; isNull {
			l.data = ""
		}
		return nil
	case "data_base64":
		l.base64 = nil
		return json.Unmarshal([]byte(value), &l.base64)
	case "headers":
		l.Headers = nil
		return json.Unmarshal([]byte(value), &l.Headers)
	}
	text := l.textMember(name)
	switch {
	case text == nil:
		return errors.New("it is none of this format, and would be lost")
	case isNull:
		*text = ""
		return nil
	}
	*text, err = jsonobject.String(value)
	return err
}

// textMember is where a member that is a string is kept; nil if there is none of that name.
func (a *attributes) textMember(name string) *string {
	switch name {
	case "specversion":
		return &a.SpecVersion
	case "id":
		return &a.ID
	case "source":
		return &a.Source
	case "type":
		return &a.Type
	case "topic":
		return &a.Topic
	case "time":
		return &a.Time
	case "partitionkey":
		return &a.Key
	case "streamsequence":
		return &a.Sequence
	case "streamtime":
		return &a.Stored
	case "datacontenttype":
		return &a.ContentType
	}
	return nil
}

func parseTime(name, text string) (t time.Time, err error) {
	if text == "" {
		return t, nil
	}
	if t, err = time.Parse(time.RFC3339Nano, text); err != nil {
		return t, fmt.Errorf("its %s: %w", name, err)
	}
	return t.UTC(), nil
}

func parseData(raw string, inBase64 *[]byte, contentType string) ([]byte, error) {
	switch {
	case raw != "" && inBase64 != nil:
		return nil, errors.New("it has both data and data_base64: remove one")
	case inBase64 != nil:
		return *inBase64, nil
	case raw == "":
		return nil, nil
	case impliesJSON(contentType) || raw[0] != '"':
		return []byte(raw), nil
	}
	text, err := jsonobject.String(raw)
	return []byte(text), err
}
