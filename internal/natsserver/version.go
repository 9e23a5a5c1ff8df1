package natsserver

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// Oldest is the oldest release of nats-server that Onceish works with: the first that has a TTL per
// message, which marks in a key-value bucket need, and that can pause a consumer.
const Oldest = "2.11.0"

// ErrTooOld is returned by Check for a server that is older than Oldest.
var ErrTooOld = errors.New("nats-server is too old")

// Check returns ErrTooOld if the server that the connection is to is older than Oldest. While the
// connection is down its server is unknown, and passes.
func Check(nc *nats.Conn) error {
	version := nc.ConnectedServerVersion()
	if !Older(version, Oldest) {
		return nil
	}
	return fmt.Errorf("%w: %s is nats-server %s: upgrade it to %s or later", ErrTooOld, nc.ConnectedAddr(), version, Oldest)
}

// Older compares versions such as 2.11.4 or 2.12.0-RC.1, by their numbers. What is no version is
// older than none.
func Older(version, than string) bool {
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
