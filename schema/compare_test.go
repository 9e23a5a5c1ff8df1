package schema

import (
	"fmt"
	"strings"
	"testing"
)

// changes are from an older schema to a newer one. The texts are what of the message is wanted;
// empty: compatible.
var changes = []struct {
	what, old, new, backward, forward string
}{
	{"nothing", `{"type":"object","properties":{"a":{"type":"string"}}}`, `{"type":"object","properties":{"a":{"type":"string"}}}`, "", ""},
	{"an optional property comes", `{"properties":{"a":{}}}`, `{"properties":{"a":{},"b":{"type":"string"}}}`, "", ""},
	{"an optional property goes", `{"properties":{"a":{},"b":{"type":"string"}}}`, `{"properties":{"a":{}}}`, "", ""},
	{"a required property comes", `{"properties":{"a":{}}}`, `{"properties":{"a":{},"b":{}},"required":["b"]}`, `/required: it requires "b"`, ""},
	{"a required property goes", `{"properties":{"a":{},"b":{}},"required":["b"]}`, `{"properties":{"a":{}}}`, "", `/required: it requires "b"`},
	{"a property becomes required", `{"properties":{"a":{}}}`, `{"properties":{"a":{}},"required":["a"]}`, `/required: it requires "a"`, ""},
	{"a type changes", `{"properties":{"a":{"type":"integer"}}}`, `{"properties":{"a":{"type":"string"}}}`, "/properties/a/type: it is string, and version 1 writes integer", "/properties/a/type: it is integer, and version 2 writes string"},
	{"a type widens", `{"type":"integer"}`, `{"type":"number"}`, "", "it is integer, and version 2 writes number"},
	{"null is allowed", `{"type":"string"}`, `{"type":["string","null"]}`, "", "it is string, and version 2 writes null or string"},
	{"null is allowed by anyOf", `{"type":"string"}`, `{"anyOf":[{"type":"string"},{"type":"null"}]}`, "", "the value null of version 2 is not valid"},
	{"anyOf and a list of types", `{"anyOf":[{"type":"string"},{"type":"null"}]}`, `{"type":["null","string"]}`, "", ""},
	{"an enum grows", `{"enum":["a","b"]}`, `{"enum":["a","b","c"]}`, "", `the value "c" of version 2 is not valid`},
	{"an enum becomes a string", `{"enum":["a"]}`, `{"type":"string"}`, "", "/enum: it lists values"},
	{"a boolean becomes an enum", `{"type":"boolean"}`, `{"enum":[true,false,null]}`, "", "the value null"},
	{"a const changes", `{"const":1}`, `{"const":2}`, "the value 1", "the value 2"},
	{"the model closes", `{"properties":{"a":{}}}`, `{"properties":{"a":{}},"additionalProperties":false}`, "", ""},
	{"a closed model gains a property", `{"properties":{"a":{}},"additionalProperties":false}`, `{"properties":{"a":{},"b":{}},"additionalProperties":false}`, "", `/additionalProperties: it forbids "b"`},
	{"a closed model loses a property", `{"properties":{"a":{},"b":{}},"additionalProperties":false}`, `{"properties":{"a":{}},"additionalProperties":false}`, `/additionalProperties: it forbids "b"`, ""},
	{"an object of any kind gains a typed property", `{"type":"object"}`, `{"type":"object","properties":{"a":{"type":"string"}}}`, "/properties/a/type", ""},
	{"additional properties get a type", `{"type":"object","additionalProperties":true}`, `{"type":"object","additionalProperties":{"type":"string"}}`, "/additionalProperties/type", ""},
	{"a map's values widen", `{"additionalProperties":{"type":"integer"}}`, `{"additionalProperties":{"type":"number"}}`, "", "/additionalProperties/type"},
	{"a pattern of properties changes", `{"patternProperties":{"^a":{"type":"integer"}}}`, `{"patternProperties":{"^a":{"type":"number"}}}`, "", "/patternProperties/^a/type"},
	{"another pattern of properties", `{"patternProperties":{"^a":{}}}`, `{"patternProperties":{"^b":{"type":"null"}}}`, "may not read", "may not read"},
	{"a longer text", `{"type":"string","maxLength":5}`, `{"type":"string","maxLength":9}`, "", "/maxLength: it is 5, and that of version 2 is 9"},
	{"a bound on texts comes", `{"type":"string"}`, `{"type":"string","minLength":1}`, "/minLength: it is 1", ""},
	{"a bound of nothing", `{"type":"string"}`, `{"type":"string","minLength":0}`, "", ""},
	{"a pattern comes", `{"type":"string"}`, `{"type":"string","pattern":"^a"}`, `/pattern: it is "^a"`, ""},
	{"a pattern changes", `{"type":"string","pattern":"^a"}`, `{"type":"string","pattern":"^ab"}`, "may not read", "may not read"},
	{"a format comes", `{"type":"string"}`, `{"type":"string","format":"date-time"}`, "/format", ""},
	{"a bound on texts where there are none", `{"type":"integer"}`, `{"type":"integer","minLength":3,"pattern":"a"}`, "", ""},
	{"a minimum rises", `{"type":"integer","minimum":1}`, `{"type":"integer","minimum":2}`, "/minimum: it is 2, and version 1 goes to 1", ""},
	{"a minimum becomes exclusive", `{"type":"number","minimum":1}`, `{"type":"number","exclusiveMinimum":1}`, "/exclusiveMinimum", ""},
	{"a maximum comes", `{"type":"number"}`, `{"type":"number","maximum":1.5}`, "/maximum: it is 1.500000, and version 1 has no such bound", ""},
	{"a multiple", `{"type":"number","multipleOf":6}`, `{"type":"number","multipleOf":3}`, "", "/multipleOf"},
	{"integers are multiples of 1", `{"type":"integer"}`, `{"type":"number","multipleOf":0.5}`, "", "/type"},
	{"items change", `{"type":"array","items":{"type":"string"}}`, `{"type":"array","items":{"type":"integer"}}`, "/items/type: it is integer, and version 1 writes string", "/items/type"},
	{"items become a tuple", `{"type":"array","items":{"type":"string"}}`, `{"type":"array","prefixItems":[{"type":"string"}]}`, "", "/items/type"},
	{"a tuple grows", `{"prefixItems":[{"type":"string"}],"items":false}`, `{"prefixItems":[{"type":"string"},{"type":"integer"}],"items":false}`, "", "/items: nothing is valid"},
	{"a tuple of draft 7", `{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"string"}],"additionalItems":false}`, `{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"string"},{"type":"integer"}],"additionalItems":false}`, "", "/additionalItems: nothing is valid"},
	{"fewer items", `{"type":"array","maxItems":5}`, `{"type":"array","maxItems":4,"minItems":1}`, "/maxItems: it is 4, and that of version 1 is 5", ""},
	{"items must differ", `{"type":"array"}`, `{"type":"array","uniqueItems":true}`, "/uniqueItems", ""},
	{"more properties at least", `{"properties":{"a":{}},"required":["a"]}`, `{"properties":{"a":{}},"minProperties":1}`, "", "/required"},
	{"a reference instead of its text", `{"properties":{"a":{"type":"string"}}}`, `{"properties":{"a":{"$ref":"#/$defs/t"}},"$defs":{"t":{"type":"string"}}}`, "", ""},
	{"what is referred to changes", `{"$ref":"#/$defs/t","$defs":{"t":{"type":"string"}}}`, `{"$ref":"#/$defs/t","$defs":{"t":{"type":"integer"}}}`, "/$defs/t/type: it is integer", "/$defs/t/type: it is string"},
	{"what is referred to within not changes", `{"not":{"$ref":"#/$defs/t"},"$defs":{"t":{"type":"string"}}}`, `{"not":{"$ref":"#/$defs/t"},"$defs":{"t":{"type":"integer"}}}`, "may not read version 1, at /not", "may not read version 2, at /not"},
	{"a reference is ignored beside others in draft 7 only", `{"$schema":"http://json-schema.org/draft-07/schema#","$ref":"#/definitions/t","type":"integer","definitions":{"t":{"type":"string"}}}`, `{"type":"string"}`, "", ""},
	{"a tree", `{"$ref":"#/$defs/n","$defs":{"n":{"properties":{"v":{"type":"integer"},"next":{"$ref":"#/$defs/n"}}}}}`, `{"$ref":"#/$defs/n","$defs":{"n":{"properties":{"v":{"type":"number"},"next":{"$ref":"#/$defs/n"}}}}}`, "", "/$defs/n/properties/v/type"},
	{"allOf instead of one", `{"properties":{"a":{"type":"string"},"b":{"type":"integer"}},"required":["a"]}`, `{"allOf":[{"properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{"type":"integer"}}}]}`, "", ""},
	{"a variant comes", `{"type":"object","oneOf":[{"properties":{"kind":{"const":"a"},"x":{"type":"string"}},"required":["kind"]}]}`, `{"type":"object","oneOf":[{"properties":{"kind":{"const":"a"},"x":{"type":"string"}},"required":["kind"]},{"properties":{"kind":{"const":"b"},"x":{"type":"integer"}},"required":["kind"]}]}`, "", "/oneOf"},
	{"not stays", `{"type":"string","not":{"const":"x"}}`, `{"type":"string","maxLength":9,"not":{"const":"x"}}`, "/maxLength", ""},
	{"not comes", `{"type":"string"}`, `{"type":"string","not":{"const":"x"}}`, "may not read version 1, at /not", ""},
	{"unevaluated properties", `{"properties":{"a":{}}}`, `{"properties":{"a":{}},"unevaluatedProperties":false}`, "may not read", ""},
	{"everything is allowed", `{"type":"string"}`, `true`, "", "/type: it is string"},
	{"nothing is allowed", `{"type":"string"}`, `false`, "/: nothing is valid", ""},
	{"a property that must not be there", `{"properties":{"a":{}}}`, `{"properties":{"a":false}}`, "/properties/a: nothing is valid", ""},
	{"words for people", `{"title":"a","description":"b","examples":[1],"type":"string"}`, `{"title":"c","$comment":"d","type":"string"}`, "", ""},
	{"a required property that is not named", `{"required":["a"]}`, `{"required":["a"],"properties":{"a":{"type":"string"}}}`, "/properties/a/type", ""},
}

// The table says of each change what the reason is, in both directions: the versions, the path and
// what changed there.
func TestChangesAreToldByPath(t *testing.T) {
	t.Parallel()
	for _, c := range changes {
		older, newer := numbered{1, mustParse(t, c.old)}, numbered{2, mustParse(t, c.new)}
		for _, direction := range []struct {
			name           string
			reader, writer numbered
			want           string
		}{{"backward", newer, older, c.backward}, {"forward", older, newer, c.forward}} {
			found := compareVersions(direction.reader, direction.writer)
			text := fmt.Sprint(found)
			switch {
			case direction.want == "" && len(found) > 0:
				t.Errorf("%s, %s: %s; want none", c.what, direction.name, text)
			case !strings.Contains(text, direction.want):
				t.Errorf("%s, %s: %s; want %q", c.what, direction.name, text, direction.want)
			}
		}
	}
}
