package config

import (
	"encoding/json"
	"maps"
)

// Schema is a JSON Schema (2020-12) of the file, for editors: what Parse accepts it accepts. It
// cannot compare keys with each other.
func Schema() []byte {
	root := mappingSchema(configFields().fieldInfos())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Configuration of an Onceish worker"
	root["type"] = "object"
	root["patternProperties"] = map[string]any{"^x-.": true}
	delete(root, "required") // the group may come from elsewhere
	root["anyOf"] = []any{map[string]any{"required": []string{string(SectionSubscriptions)}}, map[string]any{"required": []string{string(SectionOutbox)}}}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil // there are texts, numbers, lists and maps of them alone
	}
	return append(out, '\n')
}

// mappingSchema is that of a mapping with these keys and no others. A mapping may be empty:
// nothing at all.
func mappingSchema(specs []*fieldInfo) map[string]any {
	properties := make(map[string]any, len(specs))
	required := []string{}
	for _, s := range specs {
		properties[s.name] = s.jsonSchema()
		if s.required {
			required = append(required, s.name)
		}
	}
	out := map[string]any{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"], out["type"] = required, "object"
	}
	return out
}

func (s *fieldInfo) jsonSchema() map[string]any {
	out := s.valueSchema()
	out["description"] = s.meaning
	if s.bounds != "" {
		out["description"] = s.meaning + " (" + s.bounds + ")"
	}
	if s.jsonDefault != nil {
		out["default"] = s.jsonDefault
	}
	return out
}

// valueSchema is the schema of the key's value.
func (s *fieldInfo) valueSchema() map[string]any {
	switch {
	case s.list && !s.required:
		return map[string]any{"type": []string{"array", "null"}, "maxItems": maxListEntries, "items": mappingSchema(s.children)}
	case s.list:
		return map[string]any{"type": "array", "minItems": 1, "maxItems": maxListEntries, "items": mappingSchema(s.children)}
	case s.scalarList:
		return map[string]any{"type": []string{"array", "null"}, "maxItems": maxListEntries, "items": s.scalarSchema()}
	case s.anyKeys:
		return map[string]any{
			"type": []string{"object", "null"}, "propertyNames": s.keyShape, "additionalProperties": s.jsonShape,
		}
	case len(s.children) == 0:
		return s.scalarSchema()
	}
	out := mappingSchema(s.children)
	if s.exactlyOne {
		out["minProperties"], out["maxProperties"], out["type"] = 1, 1, "object"
	}
	if s.shorthand != "" {
		return map[string]any{"anyOf": []any{s.children[0].scalarSchema(), out}}
	}
	return out
}

// scalarSchema is the schema of a single value, which may also be made of variables.
func (s *fieldInfo) scalarSchema() map[string]any {
	shape := maps.Clone(s.jsonShape)
	if len(shape) == 1 && shape["type"] == "string" {
		return shape
	}
	return map[string]any{"anyOf": []any{shape, map[string]any{"type": "string", "pattern": variableForm}}}
}
