package jsonobject

import (
	"bytes"
	"fmt"
)

// Text returns the member of a JSON object that a path through members leads to: a string, or a
// number as it is written.
func Text(data []byte, path ...string) (string, error) {
	for depth := 0; ; depth++ {
		fields, err := Read(bytes.TrimSpace(data))
		if err != nil {
			return "", fmt.Errorf("not a JSON object: %w", err)
		}
		if depth >= len(path)-1 {
			return fields.Text(path[depth])
		}
		if data = fields.Member(path[depth]); data == nil {
			return "", fmt.Errorf("it has no field %q", path[depth])
		}
	}
}
