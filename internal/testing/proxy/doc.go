// Package proxy is a TCP proxy that breaks the connections going through it, for tests.
package proxy
