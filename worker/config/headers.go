package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// texts is a mapping with any names, kept in a map. Its values are secret.
type texts[S any] struct {
	spec
	at func(*S) *map[string]string
}

func headers[S any](name, meaning string, at func(*S) *map[string]string) *texts[S] {
	return &texts[S]{
		spec: spec{
			name: name, kind: "mapping of text", wants: "text", meaning: meaning, loose: true, secret: true, tags: []string{"!!str"},
			shape: map[string]any{"type": "string"},
		},
		at: at,
	}
}

func (t *texts[S]) describe() *spec          { return &t.spec }
func (*texts[S]) fill(*S)                    {}
func (*texts[S]) finish(*reader, string, *S) {}

func (t *texts[S]) read(r *reader, at string, n *yaml.Node, s *S) {
	r.place(at, n)
	all, lower := make(map[string]string), make(map[string]bool)
	for _, p := range r.pairs(at, n) {
		if err := validHeaderName(p.name); err != nil {
			r.complain(at, origin{line: p.key.Line, column: p.key.Column}, "%v", err)
			continue
		}
		path := at
		if nameable(p.name) {
			path = join(at, p.name)
		}
		value, ok := r.scalar(path, p.value, &t.spec)
		if !ok {
			continue
		}
		if err := validHeaderValue(value); err != nil {
			r.mistake(path, "%v", err)
		}
		if lower[strings.ToLower(p.name)] {
			r.mistake(path, "it is there twice, in other letters: remove one")
		}
		lower[strings.ToLower(p.name)], all[p.name] = true, value
	}
	*t.at(s) = all
}
