package plaintext

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// ErrRefused is returned for a connection without TLS that leaves this machine, where that is
// refused.
var ErrRefused = errors.New("it has no TLS, and is not on this machine")

// IsLocal reports whether a host, without a port, is this machine by its name alone: an address of
// the loopback interface, localhost or a name below it, or a Unix socket. Any other name is not,
// whatever it resolves to: others decide that, and may decide differently tomorrow.
func IsLocal(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".sock") && strings.Contains(host, "/")
}

// LocalDialer returns a dialer that connects to this machine alone, whatever a name resolves to,
// and wherever a server refers its clients to. Other addresses are ErrRefused. timeout is for one
// connection; zero: there is none.
func LocalDialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, Control: func(network, address string, _ syscall.RawConn) error {
		if strings.HasPrefix(network, "unix") {
			return nil
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil || !IsLocal(host) {
			return fmt.Errorf("%w: %s", ErrRefused, address)
		}
		return nil
	}}
}
