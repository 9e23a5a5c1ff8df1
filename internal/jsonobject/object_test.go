package jsonobject_test

import (
	"encoding/json"
	"testing"

	"github.com/onceish/onceish/internal/jsonobject"
)

func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"a":1,"id" : "x\\"" , "b":[{"id":2}],"n":-1.5e3,"\u0069d":null}`), "id")
	f.Add([]byte(` {}`), "a")
	f.Fuzz(func(t *testing.T, line []byte, name string) {
		var want map[string]json.RawMessage
		err := json.Unmarshal(line, &want)
		o, got := jsonobject.Read(line)
		if got == nil && err != nil {
			t.Fatalf("%q is an object, though %v", line, err)
		}
		if got != nil {
			return
		}
		if value := o.Member(name); string(value) != string(want[name]) {
			t.Errorf("%q: %q, want %q", line, value, want[name])
		}
		for key := range want {
			if value := o.Member(key); string(value) != string(want[key]) {
				t.Errorf("%q: %q, want %q", line, value, want[key])
			}
		}
	})
}
