// Package acceptance holds Onceish to its promises with real processes and real servers: workers
// that are killed and frozen at each step of the protocol, servers that restart, lose data, hang
// and lie. It has tests only.
package acceptance
