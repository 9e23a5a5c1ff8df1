package config

import (
	"slices"
	"strings"
)

// fieldInfo describes a key to people and to programs, without its Go type.
type fieldInfo struct {
	name string
	// kind is what it is to people: text, duration, mapping.
	kind string
	// expected is what a value must be, for who may not be shown the one that is wrong.
	expected string
	// meaning is one phrase for docs and help.
	meaning string
	// meaningWithoutServer is the meaning where a program has no server of its own.
	// Empty: the same.
	meaningWithoutServer string
	// defaultText is the default as it would be written, or how it comes about. Empty: none.
	defaultText string
	// jsonDefault is the default in JSON. Nil: it depends on other keys, or there is none.
	jsonDefault any
	// example is a value as it would be written.
	example string
	// bounds are for people.
	bounds string
	// flag is its name without dashes, placeholder what help calls its value, env a variable.
	flag, placeholder, env string
	// command is a command line, whose variables the shell replaces for each event.
	command bool
	// secret values are not shown.
	secret, required bool
	// secretFile values name files that nobody else may read.
	secretFile bool
	// unlessGiven is a key beside this one that does without it, where it is required.
	unlessGiven string
	// values are all there are.
	values []string
	// yamlTags are YAML's for values that are not made of variables.
	yamlTags []string
	// valid checks a value.
	valid func(string) error
	// jsonShape is a JSON Schema for values that are not made of variables.
	jsonShape map[string]any
	// children are the keys of a mapping, or of a list's mappings.
	children []*fieldInfo
	// keyShape is a JSON Schema for the names of a mapping with any keys.
	keyShape map[string]any
	// list, one and loose tell lists of mappings, mappings with exactly one key, and mappings with
	// any keys; many tells lists of single values.
	list, exactlyOne, anyKeys, scalarList bool
	// shorthand is the key that a bare value stands for; optional mappings are there or not.
	shorthand string
	optional  bool
}

// describeField implements a part of field for the keys that embed it.
func (s *fieldInfo) describeField() *fieldInfo { return s }

// Section is a part of the configuration that a command may want: a key at the top of the file.
type Section string

// The sections.
const (
	SectionGroup         Section = "group"
	SectionName          Section = "name"
	SectionNATS          Section = "nats"
	SectionMongo         Section = "mongo"
	SectionDataDir       Section = "data_dir"
	SectionLog           Section = "log"
	SectionStrict        Section = "strict"
	SectionDrain         Section = "drain"
	SectionAdmin         Section = "admin"
	SectionMetrics       Section = "metrics"
	SectionPartitions    Section = "partitions"
	SectionOutbox        Section = "outbox"
	SectionSchemas       Section = "schemas"
	SectionProvision     Section = "provision"
	SectionSubscriptions Section = "subscriptions"
)

// flaggedFields are the specs at and below s that have a flag.
func (s *fieldInfo) flaggedFields() (out []*fieldInfo) {
	if s.flag != "" {
		out = append(out, s)
	}
	for _, b := range s.children {
		out = append(out, b.flaggedFields()...)
	}
	return out
}

func fieldNames(specs []*fieldInfo) []string {
	out := make([]string, len(specs))
	for i, s := range specs {
		out[i] = s.name
	}
	return out
}

// fieldAt is the spec of the key at a path, which may have places of lists. Nil: there is none.
func fieldAt(at string) (found *fieldInfo) {
	below := configFields().fieldInfos()
	for name := range strings.SplitSeq(at, ".") {
		name, _, _ = strings.Cut(name, "[")
		i := slices.Index(fieldNames(below), name)
		if i < 0 {
			return nil
		}
		found, below = below[i], below[i].children
	}
	return found
}
