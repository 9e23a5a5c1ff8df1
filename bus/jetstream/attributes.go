package jetstream

import (
	"strings"

	"github.com/nats-io/nats.go"
)

// attribute is a header that becomes a field of an event, or ends up in none.
type attribute int

const (
	noAttribute attribute = iota
	attrSpec
	attrID
	attrSource
	attrType
	attrTime
	attrContentType
	attrKey
	attrMessageID
	attributes // how many there are
)

// headerNames are how attributes are written.
var headerNames = [attributes]string{
	attrSpec: "ce-specversion", attrID: "ce-id", attrSource: "ce-source", attrType: "ce-type", attrTime: "ce-time",
	attrContentType: "ce-datacontenttype", attrKey: "ce-partitionkey", attrMessageID: nats.MsgIdHdr,
}

// attributeOf tells what a header is, in whatever case its letters are.
func attributeOf(name string) attribute {
	if len(name) < len("ce-id") || len(name) > len("ce-datacontenttype") || name[2] != '-' && name[4] != '-' {
		return noAttribute
	}
	for a := attrSpec; a < attributes; a++ {
		if len(name) == len(headerNames[a]) && strings.EqualFold(name, headerNames[a]) {
			return a
		}
	}
	return noAttribute
}

// found are the attributes among a message's headers, as they were spelt.
type found struct {
	names [attributes]string
	// others are further spellings of attributes that were found already.
	others []string
}

func find(h nats.Header) (f found) {
	for name := range h {
		a := attributeOf(name)
		switch have := f.names[a]; {
		case a == noAttribute:
		case have == "":
			f.names[a] = name
		case name == headerNames[a] || have != headerNames[a] && name < have:
			f.names[a] = name
			f.others = append(f.others, have)
		default:
			f.others = append(f.others, name)
		}
	}
	return f
}

func (f *found) has(a attribute) bool { return f.names[a] != "" }

func (f *found) value(h nats.Header, a attribute) string {
	if vs := h[f.names[a]]; f.has(a) && len(vs) > 0 {
		return unescape(vs[0])
	}
	return ""
}

// remove takes the attributes out of the headers.
func (f *found) remove(h nats.Header) {
	for _, name := range f.names {
		if name != "" {
			delete(h, name)
		}
	}
	for _, name := range f.others {
		delete(h, name)
	}
}
