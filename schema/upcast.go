package schema

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Upcaster makes data of a newer version of data of an older one. It is a function of the data
// alone: it is called for each event of the older version, each time that one is run, and its
// result is stored nowhere.
type Upcaster struct {
	// Type is the type of the events. Empty: any.
	Type string
	// From and To are the versions. To is larger.
	From, To int
	// Func returns data that is valid under To. It must not change what it is given. It is called
	// by many goroutines at once.
	Func func(data []byte) ([]byte, error)
}

// Upcast returns an Upcaster for events of any type.
func Upcast(from, to int, f func(data []byte) ([]byte, error)) Upcaster {
	return Upcaster{From: from, To: to, Func: f}
}

// UpcastJSON returns an Upcaster of decoded data. What does not decode is an error.
func UpcastJSON[Old, New any](from, to int, f func(Old) (New, error)) Upcaster {
	return Upcast(from, to, func(data []byte) ([]byte, error) {
		var old Old
		if err := json.Unmarshal(data, &old); err != nil {
			return nil, fmt.Errorf("decode the data as %T: %s", old, describeSyntax(err))
		}
		v, err := f(old)
		if err != nil {
			return nil, err
		}
		return json.Marshal(v)
	})
}

// chain are upcasters by type and the version that they begin with.
type chain map[string]map[int]Upcaster

// newChain refuses upcasters that do not make one way from each version. Errors are ErrInvalid.
func newChain(upcasters []Upcaster) (chain, error) {
	out := chain{}
	for _, u := range upcasters {
		switch {
		case u.From < 1 || u.To <= u.From:
			return nil, fmt.Errorf("%w: upcaster from version %d to %d: it must lead from 1 or more to a larger one", ErrInvalid, u.From, u.To)
		case u.Func == nil:
			return nil, fmt.Errorf("%w: upcaster from version %d to %d: Func is nil", ErrInvalid, u.From, u.To)
		case out[u.Type][u.From].Func != nil:
			return nil, fmt.Errorf("%w: there are two upcasters from version %d of type %.64q", ErrInvalid, u.From, u.Type)
		}
		if out[u.Type] == nil {
			out[u.Type] = map[int]Upcaster{}
		}
		out[u.Type][u.From] = u
	}
	return out, nil
}

// from returns the next upcaster of a type.
func (c chain) from(eventType string, number int) (Upcaster, bool) {
	if u, ok := c[eventType][number]; ok {
		return u, true
	}
	u, ok := c[""][number]
	return u, ok
}

// needed reports whether there is an upcaster from a version.
func (c chain) needed(eventType string, number int) bool {
	_, ok := c.from(eventType, number)
	return ok
}

var errEmpty = errors.New("it returned no data")

// apply returns data of the newest version that upcasters lead to from this one, and its number.
func (c chain) apply(eventType string, number int, data []byte) ([]byte, int, error) {
	for {
		u, ok := c.from(eventType, number)
		if !ok {
			return data, number, nil
		}
		next, err := u.Func(data)
		if err == nil && len(next) == 0 {
			err = errEmpty
		}
		if err != nil {
			return nil, 0, fmt.Errorf("upcast from version %d to %d: %w", u.From, u.To, err)
		}
		data, number = next, u.To
	}
}

// Check returns everything that is wrong with the schemas in a store: texts that Parse refuses,
// samples that are not valid, versions that are not compatible although their mode says so, and
// upcasters that make something of a sample which is not valid. It is for tests, and for lint. Nil:
// nothing is wrong.
func Check(ctx context.Context, store Store, upcasters ...Upcaster) error {
	subjects, err := store.Subjects(ctx)
	if err != nil {
		return fmt.Errorf("list subjects: %w", err)
	}
	found := make([]error, 0, len(subjects))
	for _, s := range subjects {
		found = append(found, CheckSubject(ctx, store, s, upcasters...))
	}
	return errors.Join(found...)
}

// CheckSubject is Check for one subject. One without a schema is ErrNoSchema.
func CheckSubject(ctx context.Context, store Store, s Subject, upcasters ...Upcaster) error {
	c, err := newChain(upcasters)
	if err != nil {
		return err
	}
	versions, err := store.Versions(ctx, s, 0)
	if err != nil {
		return fmt.Errorf("read schemas of %s: %w", s, err)
	}
	if len(versions) == 0 {
		return fmt.Errorf("%w: %s", ErrNoSchema, s)
	}
	return checkVersions(versions, c)
}

func checkVersions(versions []Version, c chain) error {
	var found []error
	documents := make([]*Document, len(versions))
	for i := range versions {
		v := &versions[i]
		d, err := Parse(v.Schema)
		if documents[i] = d; err == nil {
			err = checkSamples(d, v)
		}
		if err == nil && v.Forced == "" {
			err = checkCompatible(d, v, versions[:i])
		}
		if err != nil {
			found = append(found, fmt.Errorf("version %d of %s: %w", v.Number, v.Subject, err))
		}
	}
	for i := range versions {
		found = append(found, checkUpcasts(&versions[i], documents, c))
	}
	return errors.Join(found...)
}

func checkCompatible(d *Document, v *Version, earlier []Version) error {
	found, err := compareWith(d, v, earlier)
	if err == nil && len(found) > 0 {
		err = &IncompatibleError{Subject: v.Subject, Number: v.Number, Mode: v.Mode, Differences: found}
	}
	return err
}

// checkUpcasts tries upcasters with the samples of a version.
func checkUpcasts(v *Version, documents []*Document, c chain) error {
	if !c.needed(v.Type, v.Number) {
		return nil
	}
	for i, sample := range v.Samples {
		data, number, err := c.apply(v.Type, v.Number, sample)
		switch {
		case err != nil:
		case number > len(documents):
			err = fmt.Errorf("%w: version %d", ErrNoSchema, number)
		case documents[number-1] != nil:
			if wrong := documents[number-1].Validate(data); wrong != nil {
				wrong.Subject, wrong.Number = v.Subject, number
				err = wrong
			}
		}
		if err != nil {
			return fmt.Errorf("sample %d of version %d of %s: %w", i+1, v.Number, v.Subject, err)
		}
	}
	return nil
}
