package config

import "go.yaml.in/yaml/v4"

// scalarField is a key with a single value of type T.
type scalarField[S, T any] struct {
	fieldInfo
	at           func(*S) *T
	parse        func(string) (T, error)
	show         func(T) string
	defaultValue *T
}

// describedAs says what the key means.
func (l *scalarField[S, T]) describedAs(meaning string) *scalarField[S, T] {
	l.meaning = meaning
	return l
}

// describedWithoutServer says what the key means to a program that has no server of its own.
func (l *scalarField[S, T]) describedWithoutServer(meaning string) *scalarField[S, T] {
	l.meaningWithoutServer = meaning
	return l
}

// withDefault is the value when nobody gives one.
func (l *scalarField[S, T]) withDefault(v T) *scalarField[S, T] {
	l.defaultValue = &v
	l.defaultText = l.show(v)
	l.example = l.defaultText
	l.jsonDefault = l.defaultText
	if kind := l.jsonShape["type"]; kind == "integer" || kind == "boolean" {
		l.jsonDefault = v
	}
	return l
}

// withDefaultText tells people of a default that depends on other keys.
func (l *scalarField[S, T]) withDefaultText(text string) *scalarField[S, T] {
	l.defaultText, l.jsonDefault = text, nil
	return l
}

// withoutDefault leaves the value as it is when nobody gives one, and tells people what holds then.
func (l *scalarField[S, T]) withoutDefault(text string) *scalarField[S, T] {
	l.defaultValue = nil
	return l.withDefaultText(text)
}

// markRequired keys must be given.
func (l *scalarField[S, T]) markRequired() *scalarField[S, T] {
	l.required = true
	return l
}

// markSecret values are never shown, nor are they in the errors of parse.
func (l *scalarField[S, T]) markSecret() *scalarField[S, T] {
	l.secret = true
	return l
}

// markSecretFile values name files that nobody else may read.
func (l *scalarField[S, T]) markSecretFile() *scalarField[S, T] {
	l.secretFile = true
	return l
}

// withFlag is a flag. Its placeholder stands for the value in help.
func (l *scalarField[S, T]) withFlag(flag, placeholder string) *scalarField[S, T] {
	l.flag, l.placeholder = flag, placeholder
	return l
}

// fromEnv is a variable of the environment.
func (l *scalarField[S, T]) fromEnv(env string) *scalarField[S, T] {
	l.env = env
	return l
}

func (l *scalarField[S, T]) setDefaults(s *S) {
	if l.defaultValue != nil {
		*l.at(s) = *l.defaultValue
	}
}

func (l *scalarField[S, T]) readNode(r *configReader, at string, n *yaml.Node, s *S) {
	if text, ok := r.scalarText(at, n, &l.fieldInfo); ok {
		l.setText(r, at, text, s)
	}
}

func (l *scalarField[S, T]) applyOverrides(r *configReader, at string, s *S) {
	if over, ok := r.overrides[l.flag]; ok && l.flag != "" {
		r.origins[at] = over.valueOrigin
		l.setText(r, at, over.text, s)
	}
	if _, given := r.origins[at]; l.required && !given {
		r.reportMissing(at, &l.fieldInfo)
	}
}

func (l *scalarField[S, T]) setText(r *configReader, at, text string, s *S) {
	v, err := l.parse(text)
	if err == nil {
		*l.at(s) = v
		r.warnVariable(at)
		r.noteSecret(at, text, &l.fieldInfo)
		return
	}
	switch o := r.origins[at]; {
	case o.isHidden() && !l.secret:
		r.reportMistake(at, "%s is not %s", o.placeholder(), l.expected)
	case len(o.variables) > 0:
		r.reportMistake(at, "%s: %v", o.placeholder(), err)
	default:
		r.reportMistake(at, "%v%s", err, o.writeVariable())
	}
}
