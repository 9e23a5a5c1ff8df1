// Package memory keeps the rows of groups in the process: for tests, and for groups of one process.
// It works inside testing/synctest.
//
// # Delivery semantics
//
// Rows of members and leases expire as in real stores. Everything ends with the process.
package memory
