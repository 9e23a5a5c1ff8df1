// Package grouptest is the conformance suite for group.Store, and for what package group promises
// on top of it.
//
// # Delivery semantics
//
// The suite shows, with processes that start runs all the time, that none starts what is paused
// after a pause was confirmed, whatever happens to processes and store.
package grouptest
