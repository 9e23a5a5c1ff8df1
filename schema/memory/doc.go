// Package memory keeps schemas in the process, for tests. It works inside testing/synctest.
//
// # Delivery semantics
//
// Everything ends with the process.
package memory
