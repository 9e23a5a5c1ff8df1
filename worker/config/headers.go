package config

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/onceish/onceish/worker/internal/header"
)

// textMap is a mapping with any names, kept in a map. Its values are secret.
type textMap[S any] struct {
	fieldInfo
	at func(*S) *map[string]string
}

func headersField[S any](name, meaning string, at func(*S) *map[string]string) *textMap[S] {
	return &textMap[S]{
		fieldInfo: fieldInfo{
			name: name, kind: "mapping of text", expected: "text", meaning: meaning, anyKeys: true, secret: true, yamlTags: []string{"!!str"},
			keyShape: map[string]any{"pattern": header.Form}, jsonShape: map[string]any{"type": "string"},
		},
		at: at,
	}
}

func (*textMap[S]) setDefaults(*S)                           {}
func (*textMap[S]) applyOverrides(*configReader, string, *S) {}

func (t *textMap[S]) readNode(r *configReader, at string, n *yaml.Node, s *S) {
	r.recordOrigin(at, n)
	all, lower := make(map[string]string), make(map[string]bool)
	for _, p := range r.mappingEntries(at, n, "put names and values below it") {
		if err := header.Settable(p.name); err != nil {
			r.reportMistakeAt(at, valueOrigin{line: p.key.Line, column: p.key.Column}, "%v", err)
			continue
		}
		path := at
		if isShowableName(p.name) {
			path = joinPath(at, p.name)
		}
		value, ok := r.scalarText(path, p.value, &t.fieldInfo)
		if !ok {
			continue
		}
		if i := header.IllegalByte(value); i >= 0 {
			r.reportMistake(path, "its byte %d is a control character, which HTTP does not allow in headers: remove it", i)
		}
		if lower[strings.ToLower(p.name)] {
			r.reportMistake(path, "it is there twice, in other letters: remove one")
		}
		r.warnVariable(path)
		lower[strings.ToLower(p.name)], all[p.name] = true, value
	}
	*t.at(s) = all
}

// textList is a key with a list of single values.
type textList[S any] struct {
	fieldInfo
	at func(*S) *[]string
}

// headerNamesField are those of headers that events bring to a service.
func headerNamesField[S any](name, meaning string, at func(*S) *[]string) *textList[S] {
	return &textList[S]{
		fieldInfo: fieldInfo{
			name: name, kind: "list of text", expected: "the name of a header", meaning: meaning, scalarList: true, yamlTags: []string{"!!str"},
			jsonShape: map[string]any{"type": "string", "pattern": header.Form}, valid: header.Passable,
		},
		at: at,
	}
}

func (*textList[S]) setDefaults(*S) {}

func (l *textList[S]) applyOverrides(r *configReader, at string, s *S) {
	switch given := r.isGiven(at); {
	case !l.required || r.hasMistake[at]:
	case !given:
		r.reportMissing(at, &l.fieldInfo)
	case len(*l.at(s)) == 0 && !r.hasMistake[entryPath(at, 0)]:
		r.reportMistake(at, "there is none: name at least one")
	}
}

func (l *textList[S]) readNode(r *configReader, at string, n *yaml.Node, s *S) {
	for i, item := range r.listItems(at, n) {
		path := entryPath(at, i)
		text, ok := r.scalarText(path, item, &l.fieldInfo)
		if !ok {
			continue
		}
		switch err, o := l.valid(text), r.origins[path]; {
		case err != nil && o.isHidden() && !l.secret:
			r.reportMistake(path, "%s is not %s", o.placeholder(), l.expected)
		case err != nil && len(o.variables) > 0:
			r.reportMistake(path, "%s: %v", o.placeholder(), err)
		case err != nil:
			r.reportMistake(path, "%v%s", err, o.writeVariable())
		}
		r.noteSecret(path, text, &l.fieldInfo)
		*l.at(s) = append(*l.at(s), text)
	}
}
