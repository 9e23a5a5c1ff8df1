package config

import (
	"slices"
	"strings"
)

// spec describes a key to people and to programs, without its Go type.
type spec struct {
	name string
	// kind is what it is to people: text, duration, mapping.
	kind string
	// wants is what a value must be, for who may not be shown the one that is wrong.
	wants string
	// meaning is one phrase for docs and help.
	meaning string
	// unserved is the meaning where a program has no server of its own. Empty: the same.
	unserved string
	// preset is the default as it would be written, or how it comes about. Empty: none.
	preset string
	// literal is the default in JSON. Nil: it depends on other keys, or there is none.
	literal any
	// example is a value as it would be written.
	example string
	// bounds are for people.
	bounds string
	// flag is its name without dashes, placeholder what help calls its value, env a variable.
	flag, placeholder, env string
	// command is a command line, whose variables the shell replaces for each event.
	command bool
	// secret values are not shown; discreet errors hold none anyway.
	secret, discreet, required bool
	// unless is a key beside this one that does without it, where it is required.
	unless string
	// values are all there are.
	values []string
	// tags are YAML's for values that are not made of variables.
	tags []string
	// valid checks a value.
	valid func(string) error
	// shape is a JSON Schema for values that are not made of variables.
	shape map[string]any
	// below are the keys of a mapping, or of a list's mappings.
	below []*spec
	// list, one and loose tell lists of mappings, mappings with exactly one key, and mappings with
	// any keys; many tells lists of single values.
	list, one, loose, many bool
	// shorthand is the key that a bare value stands for; optional mappings are there or not.
	shorthand string
	optional  bool
}

// Section is a part of the configuration that a command may want: a key at the top of the file.
type Section string

// The sections.
const (
	SectionGroup         Section = "group"
	SectionNATS          Section = "nats"
	SectionMongo         Section = "mongo"
	SectionDataDir       Section = "data_dir"
	SectionLog           Section = "log"
	SectionDrain         Section = "drain"
	SectionOutbox        Section = "outbox"
	SectionSubscriptions Section = "subscriptions"
)

// flags are the specs at and below s that have a flag.
func (s *spec) flags() (out []*spec) {
	if s.flag != "" {
		out = append(out, s)
	}
	for _, b := range s.below {
		out = append(out, b.flags()...)
	}
	return out
}

func names(specs []*spec) []string {
	out := make([]string, len(specs))
	for i, s := range specs {
		out[i] = s.name
	}
	return out
}

// specAt is the spec of the key at a path, which may have places of lists. Nil: there is none.
func specAt(at string) (found *spec) {
	below := tree().specs()
	for name := range strings.SplitSeq(at, ".") {
		name, _, _ = strings.Cut(name, "[")
		i := slices.Index(names(below), name)
		if i < 0 {
			return nil
		}
		found, below = below[i], below[i].below
	}
	return found
}
