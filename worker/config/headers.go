package config

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/onceish/onceish/worker/internal/header"
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
	for _, p := range r.pairs(at, n, "put names and values below it") {
		if err := header.Settable(p.name); err != nil {
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
		if i := header.IllegalByte(value); i >= 0 {
			r.mistake(path, "its byte %d is a control character, which HTTP does not allow in headers: remove it", i)
		}
		if lower[strings.ToLower(p.name)] {
			r.mistake(path, "it is there twice, in other letters: remove one")
		}
		r.warnVariable(path)
		lower[strings.ToLower(p.name)], all[p.name] = true, value
	}
	*t.at(s) = all
}

// textList is a key with a list of single values.
type textList[S any] struct {
	spec
	at func(*S) *[]string
}

// headerNames are those of headers that events bring to a service.
func headerNames[S any](name, meaning string, at func(*S) *[]string) *textList[S] {
	return &textList[S]{
		spec: spec{
			name: name, kind: "list of text", wants: "the name of a header", meaning: meaning, many: true, tags: []string{"!!str"},
			shape: map[string]any{"type": "string", "pattern": header.Form}, valid: header.Passable,
		},
		at: at,
	}
}

func (l *textList[S]) describe() *spec          { return &l.spec }
func (*textList[S]) fill(*S)                    {}
func (*textList[S]) finish(*reader, string, *S) {}

func (l *textList[S]) read(r *reader, at string, n *yaml.Node, s *S) {
	for i, item := range r.items(at, n) {
		path := entry(at, i)
		text, ok := r.scalar(path, item, &l.spec)
		if !ok {
			continue
		}
		if err := l.valid(text); err != nil {
			r.mistake(path, "%v", err)
		}
		*l.at(s) = append(*l.at(s), text)
	}
}
