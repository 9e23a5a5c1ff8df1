package http

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// Addresses says to which addresses a handler connects.
type Addresses string

const (
	// AnyAddress allows every address.
	AnyAddress Addresses = "any"
	// PublicAddresses allows those alone that the whole Internet can reach: a name that resolves,
	// or is made to resolve, to something inside of a network is refused when it is dialled.
	PublicAddresses Addresses = "public"
)

// errNotPublic is why no connection was made.
var errNotPublic = errors.New("is not public, and only public ones are allowed")

// refuseUnlessPublic is a net.Dialer.Control: it is called with the address that a name was
// resolved to, right before the connection is made.
func refuseUnlessPublic(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the address %q cannot be read: %w", address, errNotPublic)
	}
	if !isPublic(at.Addr()) {
		return fmt.Errorf("the address %s %w", at.Addr(), errNotPublic)
	}
	return nil
}

// nat64 is the prefix under which IPv6 networks reach IPv4 (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// isPublic reports whether the whole Internet can reach an address. Of one that stands for an
// address of IPv4 it judges that.
func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	if a.Zone() == "" && nat64.Contains(a) {
		in := a.As16()
		a = netip.AddrFrom4([4]byte(in[12:]))
	}
	switch {
	case a.Zone() != "" || !a.IsGlobalUnicast() || a.IsPrivate():
		return false
	case a.Is6() && !globalIPv6.Contains(a):
		return false
	}
	return !slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(a) })
}

// globalIPv6 is all of IPv6 that is handed out to networks. Outside of it are those that stand for
// addresses of IPv4 inside of a network, such as ::10.0.0.1 and 64:ff9b:1::/48.
var globalIPv6 = netip.MustParsePrefix("2000::/3")

// reserved are addresses that IANA keeps for special purposes, and that net/netip takes for global
// ones; and one of a cloud's own.
var reserved = func() (all []netip.Prefix) {
	for _, p := range []string{
		"0.0.0.0/8",        // this network
		"100.64.0.0/10",    // shared by the customers of a provider; metadata of Alibaba
		"168.63.129.16/32", // metadata of Azure
		"192.0.0.0/24",     // protocol assignments; metadata of Oracle
		"192.0.2.0/24",     // documentation
		"192.88.99.0/24",   // relays of 6to4
		"198.18.0.0/15",    // benchmarks
		"198.51.100.0/24",  // documentation
		"203.0.113.0/24",   // documentation
		"240.0.0.0/4",      // future use, broadcast
		"2001::/23",        // protocol assignments; Teredo, which stands for IPv4
		"2001:db8::/32",    // documentation
		"2002::/16",        // 6to4, which stands for IPv4
		"3fff::/20",        // documentation
	} {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}()
