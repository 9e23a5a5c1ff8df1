package schema

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// What the quick check accepts, the validator does; and it accepts much of what is valid, or it
// would be of no use.
func TestQuickCheckAcceptsWhatIsValid(t *testing.T) {
	t.Parallel()
	known, quick, valid := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := simplify(drawSchema(t, 2))
		d := parseDrawn(t, s)
		if d.quick == nil {
			return
		}
		known++
		for range 20 {
			text := []byte(mustJSON(t, drawValue(t, s, 3)))
			v, err := decodeJSON(text)
			if err != nil {
				t.Fatal(err)
			}
			isValid := d.compiled.root.Validate(v) == nil
			if isValid {
				valid++
			}
			if d.quick.accepts(v) {
				quick++
				if !isValid {
					t.Fatalf("%s: %s is not valid", mustJSON(t, s), text)
				}
			}
		}
	})
	if known < 50 || quick*2 < valid {
		t.Errorf("%d schemas were known; of %d valid values it accepted %d", known, valid, quick)
	}
}

// simplify leaves out what the quick check does not know.
func simplify(schema any) any {
	s, ok := schema.(node)
	if !ok {
		return true
	}
	out := node{}
	for keyword, value := range s {
		switch of := value.(type) {
		case node:
			if keyword == "properties" {
				copied := node{}
				for name, child := range of {
					copied[name] = simplify(child)
				}
				out[keyword] = copied
				continue
			}
			value = simplify(of)
		case []any:
			if keyword == "enum" {
				value = []any{"a", "bb"}
				break
			}
			copied := make([]any, len(of))
			for i := range of {
				copied[i] = simplify(of[i])
			}
			value = copied
		case bool:
			value = of || keyword != "items"
		}
		if slices.Contains(quickKeywords, keyword) {
			out[keyword] = value
		}
	}
	return out
}

func FuzzQuickCheck(f *testing.F) {
	for _, c := range changes {
		f.Add([]byte(c.old), []byte(`{"a":1}`))
		f.Add([]byte(c.new), []byte(`{"a":"b","b":[1.0,1e2,-0,9007199254740993]}`))
	}
	f.Add([]byte(`{"type":"integer","maximum":9007199254740992}`), []byte(`9007199254740993`))
	f.Add([]byte(`{"type":"integer"}`), []byte(`1e2`))
	f.Add([]byte(`{"enum":["a",1]}`), []byte(`1`))
	f.Add([]byte(`{"items":false}`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, text, data []byte) {
		d, err := Parse(text)
		if err != nil || d.quick == nil {
			return
		}
		v, err := decodeJSON(data)
		if err == nil && d.quick.accepts(v) && d.compiled.root.Validate(v) != nil {
			t.Errorf("%s: %s is accepted and not valid", text, data)
		}
	})
}
