package config

import "go.yaml.in/yaml/v4"

// leaf is a key with a single value of type T.
type leaf[S, T any] struct {
	spec
	at     func(*S) *T
	parse  func(string) (T, error)
	show   func(T) string
	preset *T
}

func (l *leaf[S, T]) describe() *spec { return &l.spec }

// doc says what the key means.
func (l *leaf[S, T]) doc(meaning string) *leaf[S, T] {
	l.meaning = meaning
	return l
}

// unserved says what the key means to a program that has no server of its own.
func (l *leaf[S, T]) unserved(meaning string) *leaf[S, T] {
	l.spec.unserved = meaning
	return l
}

// byDefault is the value when nobody gives one.
func (l *leaf[S, T]) byDefault(v T) *leaf[S, T] {
	l.preset = &v
	l.spec.preset = l.show(v)
	l.example = l.spec.preset
	l.literal = l.spec.preset
	if kind := l.shape["type"]; kind == "integer" || kind == "boolean" {
		l.literal = v
	}
	return l
}

// otherwise tells people of a default that depends on other keys.
func (l *leaf[S, T]) otherwise(text string) *leaf[S, T] {
	l.spec.preset, l.literal = text, nil
	return l
}

// required keys must be given.
func (l *leaf[S, T]) required() *leaf[S, T] {
	l.spec.required = true
	return l
}

// secret values are never shown.
func (l *leaf[S, T]) secret() *leaf[S, T] {
	l.spec.secret = true
	return l
}

// discreet errors never hold the value.
func (l *leaf[S, T]) discreet() *leaf[S, T] {
	l.spec.discreet = true
	return l
}

// on is a flag. Its placeholder stands for the value in help.
func (l *leaf[S, T]) on(flag, placeholder string) *leaf[S, T] {
	l.flag, l.placeholder = flag, placeholder
	return l
}

// in is a variable of the environment.
func (l *leaf[S, T]) in(env string) *leaf[S, T] {
	l.env = env
	return l
}

func (l *leaf[S, T]) fill(s *S) {
	if l.preset != nil {
		*l.at(s) = *l.preset
	}
}

func (l *leaf[S, T]) read(r *reader, at string, n *yaml.Node, s *S) {
	if text, ok := r.scalar(at, n, &l.spec); ok {
		l.take(r, at, text, s)
	}
}

func (l *leaf[S, T]) finish(r *reader, at string, s *S) {
	if over, ok := r.over[l.flag]; ok && l.flag != "" {
		r.given[at] = over.origin
		l.take(r, at, over.text, s)
	}
	if _, given := r.given[at]; l.spec.required && !given {
		r.missing(at, &l.spec)
	}
}

func (l *leaf[S, T]) take(r *reader, at, text string, s *S) {
	v, err := l.parse(text)
	if err == nil {
		*l.at(s) = v
		r.warnVariable(at)
		return
	}
	switch o := r.given[at]; {
	case o.hidden() && !l.spec.discreet:
		r.mistake(at, "%s is not %s", o.stand(), l.wants)
	case len(o.variables) > 0:
		r.mistake(at, "%s: %v", o.stand(), err)
	default:
		r.mistake(at, "%v%s", err, o.writeVariable())
	}
}
