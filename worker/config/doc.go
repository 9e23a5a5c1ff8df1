// Package config is the configuration of a worker: its file, its flags and its environment.
//
// One tree of keys (fields.go) says what there is. From it come the parsing of the file, its
// checks, the defaults, the flags and their variables, the JSON Schema (Schema) and
// docs/configuration.md (Markdown).
//
// A value is what a flag says, else what its variable in the environment says, else what the file
// says, else the default. In the file's values ${VAR} and ${VAR:default} stand for what the
// environment holds; they never change the structure.
//
// Problems tell all mistakes at once, each with its place, and never what a secret or a
// variable holds.
//
// # Delivery semantics
//
// None of its own: it connects to nothing. It refuses what would lose or repeat events before
// anything runs: marks that expire too soon, topics that overlap, dead letters and published events
// that come back to their subscription.
package config
