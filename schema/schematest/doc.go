// Package schematest is the conformance suite for schema.Store.
//
// # Delivery semantics
//
// The suite shows that versions are read as they were added, that of several which are added under
// one number one is there, and that the subjects of any names never meet.
package schematest
