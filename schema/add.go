package schema

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// AddOptions of Add and Compare. The zero value means the defaults.
type AddOptions struct {
	// Mode is what the version must be compatible with. Default: that of the version before, or
	// Backward for the first one.
	Mode Mode
	// Samples are data of events of this version, which Check tests upcasters with. Each must be
	// valid under the schema. Default: none.
	Samples []json.RawMessage
	// Force is why the version is added although it is not compatible, or that cannot be decided.
	// It is kept with the version, if it was needed. Default: it is not added then.
	Force string
}

// Add adds a version of a subject's schema: the next number. It returns ErrInvalidSchema for a text
// that Parse refuses, an *IncompatibleError for one that is not compatible, a *ViolationError for a
// sample that is not valid, and ErrConflict if another version was added at the same time: call it
// again then. A text that is the newest version's already is added no second time; that version is
// returned. It blocks until the store has answered, and retries nothing: after another error the
// version may have been added, which a repeated call finds out.
func Add(ctx context.Context, store Store, s Subject, text []byte, o *AddOptions) (Version, error) {
	v, known, found, err := prepare(ctx, store, s, text, o)
	if err != nil || known {
		return v, err
	}
	if len(found) > 0 {
		if v.Forced == "" {
			return Version{}, &IncompatibleError{Subject: v.Subject, Number: v.Number, Mode: v.Mode, Differences: found}
		}
	} else {
		v.Forced = ""
	}
	if err := store.Add(ctx, v); err != nil {
		return Version{}, fmt.Errorf("add version %d of %s: %w", v.Number, v.Subject, err)
	}
	return v, nil
}

// Compare returns why Add would refuse a version, and the number that the version would have. It
// returns no difference for the newest version's own text. Errors are those of Add, but for
// IncompatibleError and ErrConflict.
func Compare(ctx context.Context, store Store, s Subject, text []byte, o *AddOptions) (number int, found []Difference, err error) {
	v, _, found, err := prepare(ctx, store, s, text, o)
	return v.Number, found, err
}

// prepare makes the version that would be added, unless the newest one is the same.
func prepare(ctx context.Context, store Store, s Subject, text []byte, o *AddOptions) (v Version, known bool, found []Difference, err error) {
	o = cmp.Or(o, &AddOptions{})
	s = s.WithDefaults()
	if err := s.Validate(); err != nil {
		return Version{}, false, nil, err
	}
	d, err := Parse(text)
	if err != nil {
		return Version{}, false, nil, fmt.Errorf("schema of %s: %w", s, err)
	}
	earlier, err := store.Versions(ctx, s, 0)
	if err != nil {
		return Version{}, false, nil, fmt.Errorf("read schemas of %s: %w", s, err)
	}
	v = Version{Subject: s, Number: len(earlier) + 1, Mode: cmp.Or(o.Mode, Backward), Schema: text, Samples: o.Samples, Forced: o.Force, Added: time.Now().UTC()}
	v.compact()
	if n := len(earlier); n > 0 {
		v.Mode = cmp.Or(o.Mode, earlier[n-1].Mode)
		if string(earlier[n-1].Schema) == string(v.Schema) && v.Mode == earlier[n-1].Mode && len(o.Samples) == 0 {
			return earlier[n-1], true, nil, nil
		}
	}
	if err := v.Validate(); err != nil {
		return Version{}, false, nil, err
	}
	if err := checkSamples(d, &v); err != nil {
		return Version{}, false, nil, err
	}
	found, err = compareWith(d, &v, earlier)
	return v, false, found, err
}

// checkSamples returns the *ViolationError of the first sample that is not valid.
func checkSamples(d *Document, v *Version) error {
	for i, sample := range v.Samples {
		if wrong := d.Validate(sample); wrong != nil {
			wrong.Subject, wrong.Number = v.Subject, v.Number
			return fmt.Errorf("sample %d: %w", i+1, wrong)
		}
	}
	return nil
}

func compareWith(d *Document, v *Version, earlier []Version) ([]Difference, error) {
	if v.Mode == None {
		return nil, nil
	}
	var with []numbered
	for _, old := range v.Mode.compared(earlier) {
		other, err := Parse(old.Schema)
		if err != nil {
			return nil, fmt.Errorf("version %d of %s: %w", old.Number, old.Subject, err)
		}
		with = append(with, numbered{old.Number, other})
	}
	return differences(v.Mode, numbered{v.Number, d}, with), nil
}
