// Package proxy is a TCP proxy that breaks the connections that go through it: for tests, and for
// the faults of worker chaos.
package proxy
