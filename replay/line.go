package replay

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/cloudevents"
)

// attributes are those of a line, in their order; its data follows them.
type attributes struct {
	SpecVersion string              `json:"specversion"`
	ID          string              `json:"id"`
	Source      string              `json:"source"`
	Type        string              `json:"type"`
	Topic       string              `json:"topic"`
	Time        string              `json:"time,omitempty"`
	Key         string              `json:"partitionkey,omitempty"`
	Sequence    string              `json:"streamsequence,omitempty"`
	Stored      string              `json:"streamtime,omitempty"`
	Headers     map[string][]string `json:"headers,omitempty"`
	ContentType string              `json:"datacontenttype,omitempty"`
}

// AppendLine appends an event to dst as a line of the format, with its end. The event is
// bus.ErrInvalidEvent, and dst is returned as it was, if text of it is not UTF-8.
func AppendLine(dst []byte, s bus.Stored) ([]byte, error) {
	e := &s.Event
	a := attributes{
		SpecVersion: cloudevents.SpecVersion, ID: e.ID, Source: cloudevents.SourceOf(e), Type: cloudevents.TypeOf(e), Topic: e.Topic,
		Time: cloudevents.TimeOf(e), Key: e.Key, Headers: e.Headers, ContentType: e.ContentType,
	}
	if s.At.Sequence > 0 {
		a.Sequence = strconv.FormatUint(s.At.Sequence, 10)
	}
	if !s.At.Stored.IsZero() {
		a.Stored = s.At.Stored.UTC().Format(time.RFC3339Nano)
	}
	if err := a.validateText(); err != nil {
		return dst, err
	}
	head, err := json.Marshal(a)
	if err != nil {
		return dst, fmt.Errorf("event %.64q cannot be written: %w", e.ID, err)
	}
	dst = append(dst, head[:len(head)-1]...)
	return append(appendData(dst, e), '}', '\n'), nil
}

// validateText refuses what JSON would change.
func (a *attributes) validateText() error {
	for _, text := range [...]string{a.ID, a.Source, a.Type, a.Topic, a.Key, a.ContentType} {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%w: event %.64q: its attribute %.64q is not UTF-8", bus.ErrInvalidEvent, a.ID, text)
		}
	}
	for name, values := range a.Headers {
		if !utf8.ValidString(name) || slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return fmt.Errorf("%w: event %.64q: its header %.64q is not UTF-8", bus.ErrInvalidEvent, a.ID, name)
		}
	}
	return nil
}

// appendData appends the member that has the data, if there is any.
func appendData(dst []byte, e *bus.Event) []byte {
	switch asJSON := impliesJSON(e.ContentType); {
	case len(e.Data) == 0:
		return dst
	case asJSON && survivesAsJSON(e.Data):
		return append(append(dst, `,"data":`...), e.Data...)
	case !asJSON && utf8.Valid(e.Data):
		if text, err := json.Marshal(string(e.Data)); err == nil {
			return append(append(dst, `,"data":`...), text...)
		}
	}
	dst = append(dst, `,"data_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, e.Data)
	return append(dst, '"')
}

// impliesJSON reports whether data of a content type is JSON; that of none is, in the JSON format.
func impliesJSON(contentType string) bool {
	return contentType == "" || cloudevents.IsJSON(contentType)
}

// survivesAsJSON reports whether data is a JSON value that stays as it is in a line. Null would
// mean that there is no data.
func survivesAsJSON(data []byte) bool {
	return json.Valid(data) && utf8.Valid(data) && !bytes.ContainsAny(data, "\r\n") &&
		len(bytes.TrimSpace(data)) == len(data) && string(data) != "null"
}
