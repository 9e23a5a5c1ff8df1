package http

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/onceish/onceish/internal/testing/handlertest"
)

func TestPublicAddressesAreThoseOfTheInternet(t *testing.T) {
	t.Parallel()
	for want, addresses := range map[bool][]string{
		true: {
			"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1", "192.0.1.1", "198.17.0.1", "198.20.0.1", "223.255.255.255", "168.63.129.15",
			"2606:4700:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808",
		},
		false: {
			"127.0.0.1", "127.255.255.254", "::1", // loopback
			"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1", // private
			"169.254.0.1", "fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fec0::1", // link-local, site-local
			"100.64.0.1", "100.127.255.255", // carrier-grade NAT
			"224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1", // multicast
			"0.0.0.0", "0.1.2.3", "::", "255.255.255.255", "240.0.0.1", // unspecified, broadcast, reserved
			"169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", // metadata
			"::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::10.0.0.1", "::ffff:0:10.0.0.1", // that stand for IPv4
			"64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2002:0a00:0001::", "2001:0:0a00:1::", // NAT64, 6to4, Teredo
			"192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.88.99.1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", // for special purposes
		},
	} {
		for _, a := range addresses {
			if got := isPublic(netip.MustParseAddr(a)); got != want {
				t.Errorf("%s is public: %t, want %t", a, got, want)
			}
		}
	}
}

// TestPrivateAddressesAreRefusedWhenDialled: whatever the URL says, and whatever its name resolves
// to by then. It is the endpoint's trouble and not the event's.
func TestPrivateAddressesAreRefusedWhenDialled(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	endpoint := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	port := endpoint[strings.LastIndexByte(endpoint, ':'):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::1]"} {
		err := newHTTP(t, "http://"+host+port, &Options{Addresses: PublicAddresses}).Handle(handlertest.Attempt(t, 1), handlertest.Placed())
		if Meaning(handlertest.MeaningOf(err)) != Unavailable || !errors.Is(err, errNotPublic) || !strings.Contains(err.Error(), "is not public, and only public ones are allowed") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests arrived", n)
	}
	for _, o := range []*Options{nil, {Addresses: AnyAddress}} {
		if err := newHTTP(t, endpoint, o).Handle(handlertest.Attempt(t, 1), handlertest.Placed()); err != nil {
			t.Errorf("any address: %v", err)
		}
	}
}

func TestAddressThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	for _, a := range []string{"", "10.0.0.1", "host:80", "/run/socket", "[fe80::1%eth0]:80"} {
		if err := refuseUnlessPublic("tcp", a, nil); !errors.Is(err, errNotPublic) {
			t.Errorf("%q: %v", a, err)
		}
	}
	if err := refuseUnlessPublic("tcp", "8.8.8.8:443", nil); err != nil {
		t.Error(err)
	}
}

// TestPublicAddressesRefuseAProxy: it would resolve the name where nobody checks the address.
func TestPublicAddressesRefuseAProxy(t *testing.T) {
	t.Parallel()
	service := &url.URL{Scheme: "https", Host: "shop.example"}
	proxy := func(*http.Request) (*url.URL, error) { return &url.URL{Scheme: "http", Host: "u:hunter2@proxy"}, nil }
	direct := func(*http.Request) (*url.URL, error) { return nil, nil }
	public := &Options{Addresses: PublicAddresses}
	if _, err := newTransport(service, public, proxy); err == nil || !strings.Contains(err.Error(), "add the host to NO_PROXY") || strings.Contains(err.Error(), "hunter") {
		t.Errorf("%v", err)
	}
	if transport, err := newTransport(service, public, direct); err != nil || transport.Proxy != nil {
		t.Errorf("without a proxy: %v", err)
	}
	if transport, err := newTransport(service, &Options{Addresses: AnyAddress}, proxy); err != nil || transport.Proxy == nil {
		t.Errorf("any address: %v", err)
	}
}

func TestAddressesAreAnyOrPublic(t *testing.T) {
	t.Parallel()
	if _, err := New("g", "http://h", &Options{Addresses: "private"}); err == nil || !strings.Contains(err.Error(), `Options.Addresses is "private": it must be "any" or "public"`) {
		t.Errorf("%v", err)
	}
}

// FuzzIsPublic: an address of IPv4 is judged alike in all of its forms, and no other form reaches
// what is refused.
func FuzzIsPublic(f *testing.F) {
	f.Add([]byte{8, 8, 8, 8})
	f.Add([]byte{10, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		public := isPublic(a)
		if public && (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()) {
			t.Errorf("%s is public", a)
		}
		if !a.Is4() {
			return
		}
		translated := nat64.Addr().As16()
		copy(translated[12:], b)
		if isPublic(netip.AddrFrom16(a.As16())) != public || isPublic(netip.AddrFrom16(translated)) != public {
			t.Errorf("%s is public: %t, but not in all of its forms", a, public)
		}
	})
}
