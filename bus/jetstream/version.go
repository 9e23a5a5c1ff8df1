package jetstream

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// OldestServer is the oldest release of nats-server that New takes: earlier ones ignore a term that says why, and deliver again and
// again what was given up.
const OldestServer = "2.10.4"

// exactCreation is the release since which a consumer keeps its time of creation when its server, if it is no cluster, starts again.
const exactCreation = "2.14.0"

// supported tells why a server is not. One that is unknown, because the connection is down, is.
func supported(nc *nats.Conn) error {
	version := nc.ConnectedServerVersion()
	if !older(version, OldestServer) {
		return nil
	}
	return fmt.Errorf("jetstream: %w: %s is nats-server %s, which ignores a term that says why, and would deliver for ever what was given up: upgrade it to %s or later",
		ErrServerTooOld, nc.ConnectedAddr(), version, OldestServer)
}

// older compares versions such as 2.10.4 or 2.11.0-RC.1, by their numbers. What is no version is older than none.
func older(version, than string) bool {
	a, ok := numbers(version)
	b, valid := numbers(than)
	if !ok || !valid {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// numbers are a version's major, minor and patch.
func numbers(version string) (n [3]uint64, ok bool) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "-")
	version, _, _ = strings.Cut(version, "+")
	parts := strings.Split(version, ".")
	if len(parts) != len(n) {
		return n, false
	}
	for i, part := range parts {
		var err error
		if n[i], err = strconv.ParseUint(part, 10, 32); err != nil {
			return n, false
		}
	}
	return n, true
}
