package schema

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Whoever may add a schema must not make others read files, call servers, or work for ever.
func TestHostileSchemasAreRefused(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(file, []byte(`{"const":"secret"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	doubled := make([]string, 0, 40)
	for i := range 40 {
		doubled = append(doubled, fmt.Sprintf(`"a%d":{"allOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]}`, i+1, i, i))
	}
	for text, want := range map[string]string{
		`{"$ref":"` + server.URL + `/x.json"}`:                                            "nothing is fetched",
		`{"$ref":"file://` + file + `"}`:                                                  "nothing is fetched",
		`{"$ref":"secret.json"}`:                                                          "nothing is fetched",
		`{"$id":"` + server.URL + `/a.json","$ref":"b.json"}`:                             "nothing is fetched",
		`{"properties":{"a":{"items":{"$ref":"` + server.URL + `"}}}}`:                    "at /properties/a/items/$ref",
		`{"$ref":"#/x","x":{"$ref":"` + server.URL + `"}}`:                                "at /x/$ref",
		`{"$schema":"` + server.URL + `/meta"}`:                                           "$schema: ",
		`{"properties":{"a":{"$id":"` + server.URL + `/b"}}}`:                             "$id is allowed at the top alone",
		`{"properties":{"a":{"$schema":"` + server.URL + `/b"}}}`:                         "$schema is allowed at the top alone",
		`{"$dynamicRef":"` + server.URL + `"}`:                                            "write $ref instead",
		`{"$ref":"#/$defs/none"}`:                                                         "leads nowhere",
		`{"$ref":"#"}`:                                                                    "leads back to itself",
		`{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"anyOf":[{"$ref":"#"}]}}}`:         "leads back to itself",
		`{"$ref":"#/$defs/a40","$defs":{"a0":{},` + strings.Join(doubled, ",") + `}}`:     "checked more than 10000 times",
		`{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}`: "checked more than 10000 times",
		`{"allOf":[{"items":{"$ref":"#"}},{"items":{"$ref":"#"}}]}`:                       "checked more than 10000 times",
		strings.Repeat(`{"not":`, 70) + `{}` + strings.Repeat(`}`, 70):                    "nested deeper than 64",
		strings.Repeat(`[`, 100_000):                                                      "not JSON",
		`{"description":"` + strings.Repeat("x", MaxSchema) + `"}`:                        "at most 262144 are read",
		`{"minimum":1e999999999}`:                                                         "at /minimum: a number",
		`{"minimum":` + strings.Repeat("9", 500) + `}`:                                    "at /minimum: a number",
		`{"pattern":"(?=a)"}`:                                                             "lookaheads",
		`{"pattern":"` + strings.Repeat("(x{900})", 20) + `"}`:                            "instructions",
		`{"patternProperties":{"(?<!a)":{}}}`:                                             "lookaheads",
		`{"type":"strin"}`:                                                                "at /type",
		`{"properties":[]}`:                                                               "at /properties: it is array, want object",
		`[]`:                                                                              "a schema is an object",
		``:                                                                                "there is no data",
		`{} {}`:                                                                           "something follows",
	} {
		begun := time.Now()
		_, err := Parse([]byte(text))
		if !errors.Is(err, ErrInvalidSchema) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v; want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret\"") {
			t.Errorf("%.100s: the error shows a file: %v", text, err)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("%.100s: it took %v", text, took)
		}
	}
	if n := fetched.Load(); n > 0 {
		t.Errorf("the server was called %d times", n)
	}
}

// The compiler itself fetches nothing either, whatever was checked before.
func TestCompilerFetchesNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(file, []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"file://" + file, "http://localhost:1/schema.json"} {
		if _, err := compile(map[string]any{"$ref": ref}); err == nil || !strings.Contains(err.Error(), "nothing is fetched") {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// What is usual is not taken for hostile.
func TestUsualSchemasAreTaken(t *testing.T) {
	t.Parallel()
	variants := make([]string, 0, 200)
	for i := range 200 {
		variants = append(variants, fmt.Sprintf(`{"properties":{"kind":{"const":"k%d"},"of":{"type":"string"}},"required":["kind"]}`, i))
	}
	for _, text := range []string{
		`true`, `{}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"type":"string"}},"$ref":"#/definitions/a"}`,
		`{"$schema":"https://json-schema.org/draft/2019-09/schema","type":"object"}`,
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"https://example.com/order.json","$ref":"#/$defs/a~1b%25","$defs":{"a/b%":{}}}`,
		`{"properties":{"left":{"$ref":"#"},"right":{"$ref":"#"}}}`,
		`{"properties":{"$ref":{"type":"string"},"$id":{"type":"string"}},"enum":[{"$ref":"http://x/"}]}`,
		`{"pattern":"^[a-z]{1,64}@[a-z]{1,255}$","format":"email"}`,
		`{"oneOf":[` + strings.Join(variants, ",") + `]}`,
		`{"x-internal":{"$ref":"http://example.com"},"markdownDescription":"x"}`,
	} {
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%.100s: %v", text, err)
		}
	}
}

// Events are hostile too: whatever they are, checking takes as long as their size says.
func TestHostileEvents(t *testing.T) {
	t.Parallel()
	d := mustParse(t, `{"$ref":"#/$defs/n","$defs":{"n":{"type":["object","array","number","string"],"properties":{"a":{"$ref":"#/$defs/n"}},"items":{"$ref":"#/$defs/n"},"minimum":-5,"multipleOf":0.5,"uniqueItems":true,"pattern":"^(a+)*$","maxLength":200000}}}`)
	for what, c := range map[string]struct{ data, want string }{
		"a large exponent":        {`{"a":1e999999}`, "at /a: a number with more than"},
		"a small exponent":        {`[1,1e-999999999999999999999]`, "at /1: a number with more than"},
		"many digits":             {`[` + strings.Repeat("1", 1000) + `]`, "at /0: a number with more than"},
		"deep arrays":             {strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000), ""},
		"deeper than can be read": {strings.Repeat(`{"a":`, 20_000) + `1` + strings.Repeat("}", 20_000), "not JSON"},
		"15 MB of items":          {`["` + strings.Repeat(strings.Repeat("x", 1_000_000)+`","`, 15) + `"]`, "and 30 more"},
		"many items":              {`[` + strings.Repeat(`"a",`, 50_000) + `"b"]`, "are equal"},
		"a text that backtracking engines hang on": {`"` + strings.Repeat("a", 100_000) + `!"`, "does not match"},
		"no data":                   {``, "there is no data"},
		"blanks":                    {" \n", "there is no data"},
		"what is no JSON":           {`{"password":"secret`, "not JSON"},
		"two values":                {`1 2`, "something follows"},
		"a byte that is no letter":  {"\x00\xff", "not JSON: mistake at byte 1"},
		"a value that is not shown": {`"secret"`, "does not match the pattern"},
	} {
		wrong := d.Validate([]byte(c.data))
		switch {
		case wrong == nil:
			if c.want != "" {
				t.Errorf("%s: valid", what)
			}
		case c.want == "" || !strings.Contains(wrong.Error(), c.want) || strings.Contains(wrong.Error(), "secret"):
			t.Errorf("%s: %v; want %q", what, wrong, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range changes {
		f.Add([]byte(c.old), []byte(`{"a":1}`))
		f.Add([]byte(c.new), []byte(`["a",null,1.5]`))
	}
	f.Fuzz(func(t *testing.T, text, data []byte) {
		d, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrInvalidSchema) {
				t.Fatal(err)
			}
			return
		}
		_ = d.Validate(data)
		if found := compareVersions(numbered{2, d}, numbered{1, d}); len(found) > 0 {
			t.Fatalf("%s does not read itself: %v", text, found)
		}
	})
}
