package projector

import (
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
)

// Func returns what an event makes of the collection. It must depend on the event alone, so that it
// returns the same for every copy, in every process and in a rebuild. An error dead-letters the
// event. It is called by several goroutines at once.
type Func func(e bus.Event) (Change, error)

// Change is what an event makes of one document. The zero Change is none.
type Change struct {
	key      string
	document any
	deletes  bool
}

// Upsert returns a change that makes the document under a key what is given, in whole. The key
// becomes its _id. The document is anything that BSON encodes as one: without _id, or with the key
// as its _id, and without the reserved field, _onceish.
func Upsert(key string, document any) Change { return Change{key: key, document: document} }

// Delete returns a change that deletes the document under a key. A tombstone stays in its place,
// for an older event may be delivered later; see Options.TombstoneTTL.
func Delete(key string) Change { return Change{key: key, deletes: true} }

// isNone reports whether it is the zero Change.
func (c *Change) isNone() bool { return c.key == "" && c.document == nil && !c.deletes }

// reservedField of a document is the project's own.
const reservedField = "_onceish"

// maxDocument is how large a document may be, in bytes. The server takes 16 MiB with everything
// that is written beside it.
const maxDocument = 16<<20 - 64<<10

// encodeBody returns the fields of the document; nil if the change deletes it.
func (c *Change) encodeBody() (bson.D, error) {
	switch {
	case c.key == "":
		return nil, errors.New("the key of its document is empty: give one, or return the zero Change for an event that changes nothing")
	case c.deletes:
		return nil, nil
	}
	raw, err := bson.Marshal(c.document)
	if err != nil {
		return nil, fmt.Errorf("encode the document %.128q: %w", c.key, err)
	}
	if len(raw) > maxDocument {
		return nil, fmt.Errorf("the document %.128q has %d bytes, and MongoDB takes %d: leave something out of it, or keep it in several documents",
			c.key, len(raw), maxDocument)
	}
	elements, err := bson.Raw(raw).Elements()
	if err != nil {
		return nil, fmt.Errorf("encode the document %.128q: %w", c.key, err)
	}
	return bodyOf(c.key, elements)
}

// bodyOf returns a document's fields but for _id.
func bodyOf(key string, elements []bson.RawElement) (bson.D, error) {
	body := make(bson.D, 0, len(elements))
	for _, e := range elements {
		switch name := e.Key(); name {
		case "_id":
			if id, ok := e.Value().StringValueOK(); !ok || id != key {
				return nil, fmt.Errorf("the document %.128q has another _id: leave it out, for the key is its _id", key)
			}
		case reservedField:
			return nil, fmt.Errorf("the document %.128q has the field %s, which is reserved: give it another name", key, reservedField)
		default:
			body = append(body, bson.E{Key: name, Value: e.Value()})
		}
	}
	return body, nil
}
