package config

import "go.yaml.in/yaml/v4"

// key is one key of a mapping that is kept in an S.
type key[S any] interface {
	describe() *spec
	// fill sets the default.
	fill(s *S)
	// read sets what the file says. at is the key's path.
	read(r *reader, at string, n *yaml.Node, s *S)
	// finish sets what flags and the environment say, and then complains of what is
	// required and missing.
	finish(r *reader, at string, s *S)
}

// object is a mapping that is kept in a C.
type object[C any] []key[C]

func (o object[C]) specs() []*spec {
	out := make([]*spec, len(o))
	for i, k := range o {
		out[i] = k.describe()
	}
	return out
}

func (o object[C]) find(name string) key[C] {
	for _, k := range o {
		if k.describe().name == name {
			return k
		}
	}
	return nil
}

func (o object[C]) fill(c *C) {
	for _, k := range o {
		k.fill(c)
	}
}

// read takes nil for the mapping at the top, where names that begin with x- are free:
// places for anchors.
func (o object[C]) read(r *reader, at string, n *yaml.Node, c *C) {
	o.readAdvised(r, at, n, c, "put keys below it, such as "+sample(o.specs()))
}

// readAdvised reads a mapping. advice is what to do about a value that is none.
func (o object[C]) readAdvised(r *reader, at string, n *yaml.Node, c *C, advice string) {
	for _, p := range r.pairs(at, n, advice) {
		switch k := o.find(p.name); {
		case k != nil:
			k.read(r, join(at, p.name), p.value, c)
		case !free(at, p.name):
			r.unknown(at, p, o.specs())
		}
	}
}

func (o object[C]) finish(r *reader, at string, c *C) {
	for _, k := range o {
		k.finish(r, join(at, k.describe().name), c)
	}
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// free tells keys at the top that are nobody's.
func free(at, name string) bool { return at == "" && len(name) > 2 && name[:2] == "x-" }
