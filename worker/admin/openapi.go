package admin

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// The groups of operations, in the order in which they are described.
const (
	tagGroups     = "Groups"
	tagLetters    = "Dead letters"
	tagOperations = "Operations"
	tagOutbox     = "Outbox"
	tagEvents     = "Events"
)

const apiDescription = `What operators see and do: groups and their processes, pauses, dead letters,
outboxes, what is stored on a topic, and what became of one event. Errors are problems (RFC 9457).
Sequences, positions and revisions are strings. Payloads of events are left out unless payload=1.
Times are RFC 3339, milliseconds since 1970, or how long ago, such as 2h or 1d.

A change with the header Idempotency-Key, a string in quotes, may be repeated when its answer was
lost: it gets the answer of the first request, marked by Idempotency-Replayed. While the first is
still worked on, the repetition is refused (409). A key that was used for another request is always
refused (422). Keys belong to the client certificate that was shown, or else to all who use the
token. This process keeps the last thousand answers, of 16 MiB together, for 24 hours. Failures of
the server (5xx, 429) are not kept: repeating such a request runs it again.`

func newConfig() huma.Config {
	config := huma.DefaultConfig("Onceish admin API", Version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{hideValues}
	config.Info.Description = apiDescription
	config.Tags = []*huma.Tag{{Name: tagGroups}, {Name: tagLetters}, {Name: tagOperations}, {Name: tagOutbox}, {Name: tagEvents}}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	config.Security = []map[string][]string{{"token": {}}, {}}
	return config
}

// finishSchemas corrects what is derived from types: numbers that are written as text are strings,
// lists are never null, and members that other packages define are described.
func finishSchemas(api *huma.OpenAPI) {
	registry := api.Components.Schemas
	describeMembers(registry.Map())
	for name, schema := range registry.Map() {
		for _, property := range schema.Properties {
			if property.Type == huma.TypeArray {
				property.Nullable = false
			}
		}
		t := registry.TypeFromRef("#/components/schemas/" + name)
		for t != nil && t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t != nil && t.Kind() == reflect.Struct {
			stringifyNumbers(t, schema)
		}
	}
}

// stringifyNumbers describes the members of a type that have the option "string" in JSON.
func stringifyNumbers(t reflect.Type, schema *huma.Schema) {
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		property := schema.Properties[name]
		if property == nil || !strings.Contains(options, "string") {
			continue
		}
		property.Type, property.Format, property.Minimum, property.Pattern = huma.TypeString, "", nil, "^[0-9]+$"
	}
}

// describe is the description as it is served below a prefix.
func describe(api *huma.OpenAPI, prefix string) []byte {
	here := *api
	if prefix != "" {
		here.Servers = []*huma.Server{{URL: prefix}}
	}
	spec, _ := json.Marshal(&here) //nolint:errchkjson // a test marshals it
	return spec
}
