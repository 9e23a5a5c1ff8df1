package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Bounds of a version.
const (
	// MaxSchema is how many bytes a schema may have.
	MaxSchema = 256 << 10
	// MaxSamples is how many bytes the samples of a version may have together.
	MaxSamples = 256 << 10
	// MaxReason is how many bytes a reason may have.
	MaxReason = 1 << 10
)

// Version is one version of a subject's schema. It never changes.
type Version struct {
	Subject

	// Number is 1, and one more for each version.
	Number int `json:"version"`
	// Mode is the mode that the version was added under.
	Mode Mode `json:"compatibility"`
	// Schema is the JSON Schema.
	Schema json.RawMessage `json:"schema"`
	// Samples are data of events of this version. Check tests upcasters with them.
	Samples []json.RawMessage `json:"samples,omitempty"`
	// Forced is why the version was added although it is not compatible. Empty: it is.
	Forced string `json:"forced,omitempty"`
	// Added is when that was.
	Added time.Time `json:"added"`
}

// Validate returns why a store must not keep a version: its subject, number, mode or sizes. It does
// not look into the schema, see Parse.
func (v *Version) Validate() error {
	if err := v.Subject.Validate(); err != nil {
		return err
	}
	if err := v.Mode.Validate(); err != nil {
		return err
	}
	samples := 0
	for _, s := range v.Samples {
		samples += len(s)
	}
	for _, bound := range []struct {
		what     string
		has, max int
	}{{"the schema", len(v.Schema), MaxSchema}, {"the samples", samples, MaxSamples}, {"the reason", len(v.Forced), MaxReason}} {
		if bound.has > bound.max {
			return fmt.Errorf("%w: %s of %s: %d bytes, at most %d are kept", ErrInvalid, bound.what, v.Subject, bound.has, bound.max)
		}
	}
	switch {
	case v.Number < 1:
		return fmt.Errorf("%w: version %d of %s: the first one is 1", ErrInvalid, v.Number, v.Subject)
	case !utf8.ValidString(v.Forced):
		return fmt.Errorf("%w: the reason of version %d of %s is not UTF-8", ErrInvalid, v.Number, v.Subject)
	case len(v.Schema) == 0:
		return fmt.Errorf("%w: version %d of %s has no schema", ErrInvalid, v.Number, v.Subject)
	}
	return nil
}

// Encode returns the version as stores keep it: an indented JSON object.
func (v *Version) Encode() ([]byte, error) {
	out := *v
	out.Subject = v.WithDefaults()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(&out); err != nil {
		return nil, fmt.Errorf("%w: version %d of %s: %w", ErrInvalid, v.Number, v.Subject, err)
	}
	return b.Bytes(), nil
}

// DecodeVersion reads what Encode has written, or somebody has by hand. A text of another subject
// or number than these is refused.
func DecodeVersion(text []byte, s Subject, number int) (v Version, err error) {
	s = s.WithDefaults()
	if err := json.Unmarshal(text, &v); err != nil {
		return Version{}, fmt.Errorf("%w: version %d of %s: %w", ErrInvalidSchema, number, s, err)
	}
	v.Subject = v.WithDefaults()
	if v.Subject != s || v.Number != number {
		return Version{}, fmt.Errorf("%w: what is stored as version %d of %s says that it is version %d of %s", ErrInvalidSchema, number, s, v.Number, v.Subject)
	}
	v.compact()
	if err := v.Validate(); err != nil {
		return Version{}, err
	}
	return v, nil
}

// compact leaves out the space between values, which stores add.
func (v *Version) compact() {
	v.Schema = compactJSON(v.Schema)
	v.Samples = slices.Clone(v.Samples)
	for i := range v.Samples {
		v.Samples[i] = compactJSON(v.Samples[i])
	}
}

// compactJSON returns what is no JSON as it is.
func compactJSON(text json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return text
	}
	return b.Bytes()
}
