package jetstream

import (
	"strings"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/cloudevents"
)

// attribute is a header that becomes a field of an event, or tells how to read one.
type attribute int

const (
	noAttribute attribute = iota
	attrID
	attrSource
	attrType
	attrSpec
	attrMessageID
	attrTime
	attrContentType
	attrKey
	attrMedia // of the message, not of its data
	attributes
)

// headerNames are how attributes are written.
var headerNames = [attributes]string{
	attrID: cloudevents.Prefix + cloudevents.ID, attrSource: cloudevents.Prefix + cloudevents.Source, attrType: cloudevents.Prefix + cloudevents.Type,
	attrSpec: cloudevents.Prefix + cloudevents.SpecVersionName, attrTime: cloudevents.Prefix + cloudevents.Time,
	attrContentType: cloudevents.Prefix + cloudevents.DataContentType, attrKey: cloudevents.Prefix + cloudevents.PartitionKey,
	attrMessageID: nats.MsgIdHdr, attrMedia: contentType,
}

// parseAttribute tells what a header is, in whatever case its letters are.
func parseAttribute(name string) attribute {
	for a := attrID; a < attributes; a++ {
		if len(name) == len(headerNames[a]) && strings.EqualFold(name, headerNames[a]) {
			return a
		}
	}
	return noAttribute
}

// attributeSet are the attributes among a message's headers.
type attributeSet struct {
	values         [attributes][]string
	names          [attributes]string // as they were spelt
	otherSpellings []string           // further spellings of the same
	onlyAttributes bool               // there are no other headers
}

// readAttributes reads attributes. Of several spellings of one, that of headerNames counts, or else
// the first by the alphabet.
func readAttributes(h nats.Header) (f attributeSet) {
	n := 0
	for a := attrID; a < attributes && n < len(h); a++ {
		if vs, ok := h[headerNames[a]]; ok {
			f.values[a], f.names[a] = vs, headerNames[a]
			n++
		}
	}
	if f.onlyAttributes = n == len(h); !f.onlyAttributes {
		f.readOtherSpellings(h)
	}
	return f
}

// readOtherSpellings looks for other spellings.
func (f *attributeSet) readOtherSpellings(h nats.Header) {
	for name, vs := range h {
		a := parseAttribute(name)
		switch have := f.names[a]; {
		case a == noAttribute || have == name:
		case have == "" || have != headerNames[a] && name < have:
			if have != "" {
				f.otherSpellings = append(f.otherSpellings, have)
			}
			f.values[a], f.names[a] = vs, name
		default:
			f.otherSpellings = append(f.otherSpellings, name)
		}
	}
}

func (f *attributeSet) has(a attribute) bool { return f.names[a] != "" }

// rawValue is an attribute's value as it is on the wire, and encoded if that is no UTF-8.
func (f *attributeSet) rawValue(a attribute) string {
	vs := f.values[a]
	if len(vs) == 0 {
		return ""
	}
	if !utf8.ValidString(vs[0]) {
		return escape(vs[0])
	}
	return vs[0]
}

// value is an attribute's value: unquoted, then decoded. What decodes to no UTF-8 is refused, as
// the CloudEvents binding asks: two spellings of one character would be two ids.
func (f *attributeSet) value(a attribute) (string, error) {
	if vs := f.values[a]; len(vs) > 0 && !utf8.ValidString(vs[0]) {
		return f.rawValue(a), nil // Nothing decoded this: it is kept as it came.
	}
	v, ok := unescape(unquote(f.rawValue(a)))
	if !ok {
		return v, malformedError("its %s %.64q is no encoding of UTF-8", headerNames[a], v)
	}
	return v, nil
}

// eventHeaders are the headers that are no attributes, fit for an event.
func (f *attributeSet) eventHeaders(h nats.Header) bus.Headers {
	if f.onlyAttributes && !f.has(attrMedia) {
		return nil
	}
	for a, name := range f.names {
		if name != "" && attribute(a) != attrMedia {
			delete(h, name)
		}
	}
	for _, name := range f.otherSpellings {
		delete(h, name)
	}
	return cleanHeaders(h)
}
