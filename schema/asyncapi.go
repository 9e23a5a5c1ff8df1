package schema

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/onceish/onceish/internal/percent"
)

// AsyncAPIOptions of AsyncAPI. The zero value means the defaults.
type AsyncAPIOptions struct {
	// Title and Version are those of the document. Default: "Events" and "1".
	Title, Version string
	// Server is the URL of a NATS server, such as "nats://localhost:4222". Default: none is named.
	Server string
	// Topics are further topics, without a schema. Default: none.
	Topics []string
}

// AsyncAPI returns an AsyncAPI 3.0 document, as JSON, of all topics in a store with the newest
// schema of each type. References within a schema are rewritten to where it stands in the document.
func AsyncAPI(ctx context.Context, store Store, o *AsyncAPIOptions) ([]byte, error) {
	a := newExport(cmp.Or(o, &AsyncAPIOptions{}))
	subjects, err := store.Subjects(ctx)
	if err != nil {
		return nil, fmt.Errorf("list subjects: %w", err)
	}
	for _, s := range subjects {
		versions, err := store.Versions(ctx, s, 0)
		if err != nil {
			return nil, fmt.Errorf("read schemas of %s: %w", s, err)
		}
		if n := len(versions); n > 0 {
			if err := a.addMessage(&versions[n-1]); err != nil {
				return nil, err
			}
		}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(a.document); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

type object = map[string]any

// export is a document that is being made.
type export struct {
	document, channels, operations, messages, schemas object
}

func newExport(o *AsyncAPIOptions) *export {
	a := &export{channels: object{}, operations: object{}, messages: object{}, schemas: object{}}
	a.document = object{
		"asyncapi":           "3.0.0",
		"info":               object{"title": cmp.Or(o.Title, "Events"), "version": cmp.Or(o.Version, "1")},
		"defaultContentType": "application/json",
		"channels":           a.channels,
		"operations":         a.operations,
		"components":         object{"messages": a.messages, "schemas": a.schemas},
	}
	if protocol, host, ok := strings.Cut(o.Server, "://"); ok {
		a.document["servers"] = object{"nats": object{"host": host, "protocol": protocol}}
	}
	for _, topic := range o.Topics {
		a.channel(topic)
	}
	return a
}

// channel returns that of a topic, which is made the first time.
func (a *export) channel(topic string) object {
	name := componentName(topic)
	if c, ok := a.channels[name].(object); ok {
		return c
	}
	c := object{"address": topic, "messages": object{}}
	a.channels[name] = c
	a.operations["receive."+name] = object{"action": "receive", "channel": object{"$ref": "#/channels/" + name}}
	return c
}

func (a *export) addMessage(v *Version) error {
	root, err := decodeJSON(v.Schema)
	if err != nil {
		return fmt.Errorf("version %d of %s: %w", v.Number, v.Subject, err)
	}
	d := &Document{root: root, draft: draft2020}
	if node, ok := root.(object); ok {
		if err := d.readDraft(node); err != nil {
			return fmt.Errorf("version %d of %s: %w", v.Number, v.Subject, err)
		}
	}
	format := map[draft]string{draft7: "draft-07", draft2019: "2019-09", draft2020: "2020-12"}[d.draft]
	name := componentName(v.Topic) + "." + componentName(v.Type)
	a.schemas[name] = object{
		"schemaFormat": "application/schema+json;version=" + format,
		"schema":       relocate(root, "#/components/schemas/"+name+"/schema", true),
	}
	a.messages[name] = object{
		"name":        v.Type,
		"contentType": "application/json",
		"payload":     object{"$ref": "#/components/schemas/" + name},
		"headers": object{"type": "object", "properties": object{
			HeaderDataSchema: object{"type": "string", "const": URI(v.Subject, v.Number)},
		}},
	}
	messages, _ := a.channel(v.Topic)["messages"].(object)
	messages[componentName(v.Type)] = object{"$ref": "#/components/messages/" + name}
	return nil
}

// relocate returns a schema whose references begin at another place.
func relocate(schema any, at string, top bool) any {
	node, ok := schema.(object)
	if !ok {
		return schema
	}
	out := maps.Clone(node)
	if top {
		delete(out, "$id")
		delete(out, "$schema")
	}
	if ref, ok := node["$ref"].(string); ok {
		out["$ref"] = at + strings.TrimPrefix(ref, "#")
	}
	for pointer, child := range subschemas(node) {
		replace(out, node, strings.Split(pointer[1:], "/"), relocate(child, at, false))
	}
	return out
}

// replace puts a schema in the place of another one, directly below a keyword or in its list or
// object, which it copies the first time.
func replace(out, original object, tokens []string, with any) {
	keyword := tokens[0]
	if len(tokens) == 1 {
		out[keyword] = with
		return
	}
	token := pointerUnescaper.Replace(tokens[1])
	switch of := original[keyword].(type) {
	case object:
		copied, ok := out[keyword].(copiedObject)
		if !ok {
			copied = copiedObject(maps.Clone(of))
			out[keyword] = copied
		}
		copied[token] = with
	case []any:
		copied, ok := out[keyword].(copiedList)
		if !ok {
			copied = append(copiedList(nil), of...)
			out[keyword] = copied
		}
		var i int
		if _, err := fmt.Sscan(token, &i); err == nil && i < len(copied) {
			copied[i] = with
		}
	}
}

// copiedObject and copiedList are what replace has copied already.
type (
	copiedObject object
	copiedList   []any
)

// componentName is a name of letters, digits and ".-_" for a topic or a type. It is injective.
func componentName(name string) string {
	return string(percent.Append(nil, '_', name, func(c byte) bool { return percent.LetterOrDigit(c) || c == '-' || c == '.' }))
}
