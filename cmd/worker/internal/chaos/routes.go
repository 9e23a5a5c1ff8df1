package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/redact"
)

// route is how one worker reaches one service: a proxy for each of its servers.
type route struct {
	url     string // what the worker connects to
	proxies []*proxy.Proxy
}

// newNATSRoute puts proxies before the servers of a URL, or several separated by commas.
func newNATSRoute(urls string) (*route, error) {
	r := &route{}
	var proxied []string
	for at := range strings.SplitSeq(urls, ",") {
		u, err := url.Parse(strings.TrimSpace(at))
		if err != nil || u.Host == "" {
			u, err = url.Parse("nats://" + strings.TrimSpace(at))
		}
		if err != nil {
			r.close()
			return nil, fmt.Errorf("%w: the NATS URL %s cannot be read: write nats://host:4222", commandline.ErrUsage, redact.URL(at))
		}
		if err := r.addProxy(hostPort(u, "4222")); err != nil {
			return nil, err
		}
		u.Host = r.proxies[len(r.proxies)-1].Addr()
		proxied = append(proxied, u.String())
	}
	r.url = strings.Join(proxied, ",")
	return r, nil
}

func hostPort(u *url.URL, port string) string {
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// newMongoRoute puts a proxy before one server, "host:port", of a URI.
func newMongoRoute(uri, server string) (*route, error) {
	r := &route{}
	if err := r.addProxy(server); err != nil {
		return nil, err
	}
	r.url = directMongoURI(uri, r.proxies[0].Addr())
	return r, nil
}

// directMongoURI is a URI for a server at another address, and no other of its set.
func directMongoURI(uri, at string) string {
	rest := strings.TrimPrefix(uri, "mongodb://")
	rest, query, _ := strings.Cut(rest, "?")
	hosts, database, _ := strings.Cut(rest, "/")
	user := ""
	if i := strings.LastIndex(hosts, "@"); i >= 0 {
		user = hosts[:i+1]
	}
	options := []string{"directConnection=true"}
	for o := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(strings.ToLower(o), "=")
		if o != "" && name != "directconnection" && name != "replicaset" && name != "loadbalanced" {
			options = append(options, o)
		}
	}
	return "mongodb://" + user + at + "/" + database + "?" + strings.Join(options, "&")
}

func (r *route) addProxy(server string) error {
	p, err := proxy.New(server)
	if err != nil {
		r.close()
		return err
	}
	r.proxies = append(r.proxies, p)
	return nil
}

func (r *route) close() {
	for _, p := range r.proxies {
		p.Close()
	}
}

// begin begins a fault.
func (r *route) begin(f *Fault) {
	for _, p := range r.proxies {
		switch f.Mode {
		case modeCut:
			p.Cut()
		case modeReset:
			p.Reset()
		case modeRefuse:
			p.Refuse(true)
			p.Cut()
		case modeDelay:
			p.Delay(proxy.ToServer, chosen(f.ToServer, f.Delay))
			p.Delay(proxy.ToClient, chosen(f.ToClient, f.Delay))
		case modeHole:
			p.Blackhole(proxy.ToServer, f.ToServer)
			p.Blackhole(proxy.ToClient, f.ToClient)
		}
	}
}

func chosen[T any](is bool, v T) (out T) {
	if is {
		out = v
	}
	return out
}

// heal ends whatever fault there is.
func (r *route) heal() {
	for _, p := range r.proxies {
		p.Refuse(false)
		p.Delay(proxy.ToServer, 0)
		p.Delay(proxy.ToClient, 0)
		p.Blackhole(proxy.ToServer, false)
		p.Blackhole(proxy.ToClient, false)
	}
}

// withoutTLS is what to do about faults of connections that have TLS.
const withoutTLS = "connections with TLS cannot be led through a proxy, for the certificate names another address: use a server without TLS, or leave the fault out, as in --faults kill,freeze,drain"

// checkNATSRoute refuses a connection that no proxy can stand before.
func checkNATSRoute(nc *nats.Conn) error {
	u, err := url.Parse(nc.ConnectedUrl())
	if _, errTLS := nc.TLSConnectionState(); errTLS == nil || err == nil && (u.Scheme == "tls" || u.Scheme == "wss") {
		return fmt.Errorf("%w: the fault nats: %s", commandline.ErrUsage, withoutTLS)
	}
	if err == nil && u.Scheme == "ws" {
		return fmt.Errorf("%w: the fault nats: web sockets are not led through a proxy: name the server's port for clients, nats://host:4222", commandline.ErrUsage)
	}
	return nil
}

// mongoServer is the server, "host:port", that takes writes.
func mongoServer(ctx context.Context, uri string, client *mongo.Client) (string, error) {
	if strings.HasPrefix(uri, "mongodb+srv:") || hasTLS(uri) {
		return "", fmt.Errorf("%w: the fault mongo: %s", commandline.ErrUsage, withoutTLS)
	}
	var hello struct {
		Primary string `bson:"primary"`
		Message string `bson:"msg"`
	}
	if err := client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		return "", fmt.Errorf("ask MongoDB for its primary: %w", err)
	}
	if hello.Primary != "" {
		return hello.Primary, nil
	}
	hosts, _, _ := strings.Cut(strings.TrimPrefix(uri, "mongodb://"), "/")
	hosts, _, _ = strings.Cut(hosts, "?")
	first, _, _ := strings.Cut(hosts[strings.LastIndex(hosts, "@")+1:], ",")
	if first == "" {
		return "", errors.New("the MongoDB URI names no host")
	}
	return hostPort(&url.URL{Host: first}, "27017"), nil
}

func hasTLS(uri string) bool {
	_, query, _ := strings.Cut(strings.ToLower(uri), "?")
	for o := range strings.SplitSeq(query, "&") {
		if o == "tls=true" || o == "ssl=true" {
			return true
		}
	}
	return false
}
