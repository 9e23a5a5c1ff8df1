package chaos

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// A URI leads to the proxy and nowhere else, and keeps who connects, the database and the options.
func TestMongoURILeadsToTheProxyAlone(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"mongodb://h":                           "mongodb://p:1/?directConnection=true",
		"mongodb://h:2/":                        "mongodb://p:1/?directConnection=true",
		"mongodb://u:p%40@a,b:3/shop?w=1":       "mongodb://u:p%40@p:1/shop?directConnection=true&w=1",
		"mongodb://a/shop?replicaSet=rs0&w=1":   "mongodb://p:1/shop?directConnection=true&w=1",
		"mongodb://a?directConnection=false":    "mongodb://p:1/?directConnection=true",
		"mongodb://a/?loadBalanced=true&x=a%2F": "mongodb://p:1/?directConnection=true&x=a%2F",
	} {
		if got := directMongoURI(uri, "p:1"); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

func TestNATSURLsLeadToProxiesAlone(t *testing.T) {
	t.Parallel()
	r, err := newNATSRoute("nats://u:p@h:4333, other")
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	urls := strings.Split(r.url, ",")
	if len(urls) != 2 || len(r.proxies) != 2 {
		t.Fatalf("%s", r.url)
	}
	for i, at := range urls {
		u, err := url.Parse(at)
		if err != nil || u.Host != r.proxies[i].Addr() || (u.User != nil) != (i == 0) {
			t.Errorf("%s, %v", at, err)
		}
	}
}

// Other servers of a cluster are not found by a worker behind a proxy: it would go round it.
func TestWorkersStayBehindTheirProxies(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) { o.Cluster.Advertise, o.ClientAdvertise = "127.0.0.1:1", "127.0.0.1:2" })
	o := quick(t, "work", KindNATS)
	o.NATS = s.URL()
	c, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLab(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	slots, err := l.makeSlots(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer closeRoutes(slots)
	conns, err := slots[0].assignment.Connect(t.Context(), c.Lease, discard())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conns.Close() }()
	if nc := conns.NATS(); !nc.Opts.IgnoreDiscoveredServers || nc.ConnectedAddr() != slots[0].nats.proxies[0].Addr() || len(nc.Servers()) != 1 {
		t.Errorf("connected to %s of %q", nc.ConnectedAddr(), nc.Servers())
	}
}

// What has TLS cannot be led through a proxy, and the message names the way out.
func TestNetworkFaultsRefuseTLS(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"mongodb+srv://h/", "mongodb://h/?tls=true", "mongodb://h/?w=1&SSL=true"} {
		if _, err := mongoServer(t.Context(), uri, nil); !errors.Is(err, commandline.ErrUsage) || !strings.Contains(err.Error(), "--faults kill") {
			t.Errorf("%s: %v", uri, err)
		}
	}
	nc := natstest.Start(t, nil).Connect(t)
	if err := checkNATSRoute(nc); err != nil {
		t.Error(err)
	}
	if err := checkNATSRoute(&nats.Conn{}); err != nil {
		t.Error(err)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
