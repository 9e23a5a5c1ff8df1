// Package mongoserver is what the adapters to MongoDB know of its servers: their clock, what their
// errors say of a row, and how a collection is made sure of, with its indexes.
//
// It keeps to what MongoDB and servers compatible with it have in common, and says
// where they differ.
package mongoserver
