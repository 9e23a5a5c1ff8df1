package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// field is one key of a mapping that is kept in an S.
type field[S any] interface {
	describeField() *fieldInfo
	// setDefaults sets the default.
	setDefaults(s *S)
	// readNode sets what the file says. at is the key's path.
	readNode(r *configReader, at string, n *yaml.Node, s *S)
	// applyOverrides sets what flags and the environment say, and then complains of what is
	// required and missing.
	applyOverrides(r *configReader, at string, s *S)
}

// fieldSet is a mapping that is kept in a C.
type fieldSet[C any] []field[C]

func (o fieldSet[C]) fieldInfos() []*fieldInfo {
	out := make([]*fieldInfo, len(o))
	for i, k := range o {
		out[i] = k.describeField()
	}
	return out
}

func (o fieldSet[C]) fieldNamed(name string) field[C] {
	for _, k := range o {
		if k.describeField().name == name {
			return k
		}
	}
	return nil
}

func (o fieldSet[C]) setDefaults(c *C) {
	for _, k := range o {
		k.setDefaults(c)
	}
}

// readNode reads a mapping. At the top, names that begin with x- are free: places for anchors.
// advice is what to do about a value that is no mapping.
func (o fieldSet[C]) readNode(r *configReader, at string, n *yaml.Node, c *C, advice string) {
	for _, p := range r.mappingEntries(at, n, advice) {
		switch k := o.fieldNamed(p.name); {
		case k != nil:
			k.readNode(r, joinPath(at, p.name), p.value, c)
		case !isAnchorPlace(at, p.name):
			r.reportUnknown(at, p, o.fieldInfos())
		}
	}
}

func (o fieldSet[C]) applyOverrides(r *configReader, at string, c *C) {
	for _, k := range o {
		k.applyOverrides(r, joinPath(at, k.describeField().name), c)
	}
}

func joinPath(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// parentPath is the path of the mapping that a key is in. Empty: the top.
func parentPath(at string) string { return at[:max(0, strings.LastIndexByte(at, '.'))] }

// isAnchorPlace tells keys at the top that are nobody's.
func isAnchorPlace(at, name string) bool { return at == "" && len(name) > 2 && name[:2] == "x-" }
