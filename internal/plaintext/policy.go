package plaintext

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
)

// Policy says what becomes of connections without TLS that leave this machine. The zero value logs
// a warning for each.
type Policy struct {
	// Strict refuses them.
	Strict bool
	// Logger is told of them where they are not refused. Nil: slog.Default().
	Logger *slog.Logger
}

// Peer is the other side of connections without TLS.
type Peer struct {
	// Name is what it is, such as "NATS".
	Name string
	// Address is where it is, as it may be shown: without credentials.
	Address string
	// Hosts are those of the address, without ports.
	Hosts []string
	// Advice is what to do: how it is reached by TLS.
	Advice string
}

// Check returns nil for a peer on this machine, and for any other one unless the policy is strict:
// that is ErrRefused, with what to do.
func (p Policy) Check(peer *Peer) error {
	if !slices.ContainsFunc(peer.Hosts, func(host string) bool { return !IsLocal(host) }) {
		return nil
	}
	if p.Strict {
		return peer.Refusal()
	}
	cmp.Or(p.Logger, slog.Default()).Warn("the connection is not encrypted: whoever is on the way can read and change what is sent",
		"to", peer.Name, "address", peer.Address, "advice", peer.Advice)
	return nil
}

// Refusal is the error of a strict policy.
func (peer *Peer) Refusal() error {
	return fmt.Errorf("%s at %s: %w: %s, or leave --strict out (ONCEISH_STRICT, strict in the file)", peer.Name, peer.Address, ErrRefused, peer.Advice)
}
