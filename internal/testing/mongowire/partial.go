package mongowire

import (
	"bytes"
	"encoding/binary"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// spoiledStatement makes the next write of one row fail, whose neighbours in the
// command are written.
type spoiledStatement struct {
	id    string
	fired bool
}

// Spoil arms a partial failure.
func (w *Proxy) Spoil(id string) func() bool {
	p := &spoiledStatement{id: id}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoiled = p
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.spoiled == p {
			w.spoiled = nil
		}
		return p.fired
	}
}

// withoutSpoiled takes the armed row out of a command. index is that of its statement, or -1: the
// command has nothing of it. gone is whether the statement went with it.
func (w *Proxy) withoutSpoiled(m []byte) (rest []byte, index int, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spoiled == nil {
		return m, -1, false
	}
	rest, index, gone = withoutStatement(m, w.spoiled.id)
	if index >= 0 {
		w.spoiled.fired, w.spoiled = true, nil
	}
	return rest, index, gone
}

// withoutStatement rewrites the document sequence that follows a command's body.
func withoutStatement(m []byte, id string) (rest []byte, index int, gone bool) {
	if binary.LittleEndian.Uint32(m[12:]) != opMsg {
		return m, -1, false
	}
	start := 21 + int(binary.LittleEndian.Uint32(m[21:]))
	if start >= len(m) || m[start] != 1 {
		return m, -1, false
	}
	docs := start + 5 + bytes.IndexByte(m[start+5:], 0) + 1
	index = -1
	rest = slices.Clone(m[:docs])
	for i, at := 0, docs; at < len(m); i++ {
		doc := bson.Raw(m[at : at+int(binary.LittleEndian.Uint32(m[at:]))])
		at += len(doc)
		if index < 0 {
			kept, hit := statementWithout(doc, id)
			if hit {
				index, gone = i, kept == nil
			}
			doc = kept
		}
		rest = append(rest, doc...)
	}
	binary.LittleEndian.PutUint32(rest, uint32(len(rest)))
	binary.LittleEndian.PutUint32(rest[start+1:], uint32(len(rest)-start-1))
	return rest, index, gone
}

// statementWithout is an inserted document, or an update, without that row; nil if nothing
// is left of it.
func statementWithout(doc bson.Raw, id string) (bson.Raw, bool) {
	if own, ok := doc.Lookup("_id").StringValueOK(); ok {
		return dropMatching(doc, own == id)
	}
	if own, ok := doc.Lookup("q", "_id").StringValueOK(); ok {
		return dropMatching(doc, own == id)
	}
	in, err := doc.LookupErr("q", "_id", "$in")
	if err != nil {
		return doc, false
	}
	var all []string
	if in.Unmarshal(&all) != nil || !slices.Contains(all, id) {
		return doc, false
	}
	var d bson.D
	if bson.Unmarshal(doc, &d) != nil {
		return doc, false
	}
	some := bson.D{{Key: "$in", Value: slices.DeleteFunc(all, func(s string) bool { return s == id })}}
	for i := range d {
		if q, ok := d[i].Value.(bson.D); ok && d[i].Key == "q" {
			d[i].Value = With(q, "_id", some)
		}
	}
	b, err := bson.Marshal(d)
	return b, err == nil
}

func dropMatching(doc bson.Raw, drop bool) (bson.Raw, bool) {
	if drop {
		return nil, true
	}
	return doc, false
}

// partialReply is an answer with the failure of a statement put in; where the statement had gone,
// later ones move up.
func partialReply(reply bson.D, index int, gone bool) bson.D {
	all := bson.A{WriteError(index, 11601, "interrupted")}
	for _, e := range reply {
		if errs, ok := e.Value.(bson.A); ok && e.Key == "writeErrors" {
			for _, x := range errs {
				d, ok := x.(bson.D)
				if !ok {
					continue
				}
				all = append(all, shiftIndexes(d, index, gone))
			}
		}
	}
	return With(reply, "writeErrors", all)
}

func shiftIndexes(d bson.D, index int, gone bool) bson.D {
	for i := range d {
		if at, ok := d[i].Value.(int32); ok && d[i].Key == "index" && gone && int(at) >= index {
			d[i].Value = at + 1
		}
	}
	return d
}
