package lines

import (
	"bytes"
	"fmt"
)

// Member returns a member of a JSON object, reached through members that are objects: a string, or
// a number as it is written. What it returns for a path of one member is the id that
// Options.IDField takes from a line.
func Member(data []byte, path ...string) (string, error) {
	for depth := 0; ; depth++ {
		fields, err := readObject(bytes.TrimSpace(data))
		if err != nil {
			return "", fmt.Errorf("not a JSON object: %w", err)
		}
		if depth >= len(path)-1 {
			return textField(fields, path[depth])
		}
		if data = fields.member(path[depth]); data == nil {
			return "", fmt.Errorf("it has no field %q", path[depth])
		}
	}
}
