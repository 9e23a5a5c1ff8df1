package schema_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/onceish/onceish/schema"
	memschema "github.com/onceish/onceish/schema/memory"
)

// Every reference of the document leads to something in it, also those of schemas that refer to
// themselves.
func TestAsyncAPIHoldsTogether(t *testing.T) {
	t.Parallel()
	s := memschema.New()
	for subject, text := range map[schema.Subject]string{
		placed:                                   `{"type":"object","properties":{"total":{"type":"integer"}}}`,
		{Topic: "order.>x", Type: "a/b"}:         `{"$schema":"http://json-schema.org/draft-07/schema#","$id":"urn:x","definitions":{"n":{"items":{"$ref":"#"}}},"properties":{"a~b/c":{"$ref":"#/definitions/n"},"$ref":{"enum":[{"$ref":"#/x"}]}},"allOf":[{"$ref":"#/definitions/n"},true]}`,
		{Topic: "order.placed", Type: "changed"}: `true`,
	} {
		if _, err := schema.Add(t.Context(), s, subject, []byte(text), nil); err != nil {
			t.Fatal(err)
		}
	}
	add(t, s, `{"type":"object","properties":{"total":{"type":"integer"},"note":{}}}`, nil)
	text, err := schema.AsyncAPI(t.Context(), s, &schema.AsyncAPIOptions{Title: "Orders", Version: "3", Server: "nats://localhost:4222", Topics: []string{"order.cancelled"}})
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	refs := 0
	var walk func(v any, path []string)
	walk = func(v any, path []string) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && !slices.Contains(path, "enum") {
				refs++
				if target := lookUp(document, ref); target == nil {
					t.Errorf("at %v: %s leads nowhere", path, ref)
				}
			}
			for name, child := range v {
				walk(child, append(slices.Clone(path), name))
			}
		case []any:
			for _, child := range v {
				walk(child, append(slices.Clone(path), "item"))
			}
		}
	}
	walk(document, nil)
	if refs < 10 {
		t.Errorf("only %d references", refs)
	}
	for _, want := range []string{
		`"asyncapi": "3.0.0"`, `"address": "order.>x"`, `"address": "order.cancelled"`, `"host": "localhost:4222"`, `"const": "urn:onceish:schema:order.placed:order.placed:2"`,
		`version=draft-07`, `version=2020-12`, `"$ref": "#/components/schemas/order._3Ex.a_2Fb/schema/definitions/n"`, `"$ref": "#/x"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("it has no %s:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "urn:x") {
		t.Error("an $id would have references lead elsewhere")
	}
}

// lookUp follows a reference; nil: there is nothing.
func lookUp(v any, ref string) any {
	for token := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		of, _ := v.(map[string]any)
		v = of[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]
	}
	return v
}
