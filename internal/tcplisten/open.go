package tcplisten

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Open opens an address, which is a host and a port.
func Open(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%w: another process listens there, perhaps another worker: stop it, or choose another port; port 0 is a free one", err)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w: ports below 1024 are root's as a rule: choose another one", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%w: this machine does not have the address: choose one of its own", err)
	}
	return l, err
}
