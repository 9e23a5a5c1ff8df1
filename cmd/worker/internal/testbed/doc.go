// Package testbed is what the commands stand on that measure: a stream, a store and a group with
// fresh names on given servers ([Bed]), connections to them, and worker processes of this program
// that are told what to do by a line of JSON on their standard input ([Pool], [ReadAssignment]).
//
// What is made on servers is removed by [Connections.Remove], also on failure. A command that is
// killed itself leaves it behind; its worker processes die with it.
package testbed
