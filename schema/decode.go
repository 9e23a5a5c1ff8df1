package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of numbers, in events and in schemas: exact arithmetic with more takes for ever.
const (
	maxDigits   = 400
	maxExponent = 400
)

// pathError is what is wrong in a JSON text, and where.
type pathError struct {
	path    []string
	problem string
}

// Error says both.
func (e *pathError) Error() string { return fmt.Sprintf("at %s: %s", showPointer(e.path), e.problem) }

// decodeJSON reads one JSON value, with its numbers as they are written.
func decodeJSON(text []byte) (any, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, &pathError{problem: "there is no data"}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, &pathError{problem: "not JSON: " + describeSyntax(err)}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, &pathError{problem: "not JSON: something follows the first value"}
	}
	return v, checkNumbers(v, nil)
}

// describeSyntax says what is no JSON without showing it: only the place of a mistake is known to
// have nothing of the data.
func describeSyntax(err error) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("mistake at byte %d", syntax.Offset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too soon"
	}
	return "it cannot be read"
}

// checkNumbers refuses numbers that are out of all proportion.
func checkNumbers(v any, path []string) error {
	switch v := v.(type) {
	case json.Number:
		if !reasonableNumber(string(v)) {
			return &pathError{path, fmt.Sprintf("a number with more than %d digits, or an exponent beyond %d", maxDigits, maxExponent)}
		}
	case []any:
		for i, item := range v {
			if err := checkNumbers(item, nil); err != nil {
				return prefixPath(err, path, strconv.Itoa(i))
			}
		}
	case map[string]any:
		for name, item := range v {
			if err := checkNumbers(item, nil); err != nil {
				return prefixPath(err, path, name)
			}
		}
	}
	return nil
}

// prefixPath adds to the front of a pathError's path.
func prefixPath(err error, path []string, token string) error {
	if e, ok := errors.AsType[*pathError](err); ok {
		e.path = append(append(append([]string(nil), path...), token), e.path...)
	}
	return err
}

func reasonableNumber(n string) bool {
	if len(n) > maxDigits {
		return false
	}
	at := strings.IndexAny(n, "eE")
	if at < 0 {
		return true
	}
	exponent, err := strconv.Atoi(n[at+1:])
	return err == nil && -maxExponent <= exponent && exponent <= maxExponent
}
