package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/onceish/onceish/internal/plaintext"
	"github.com/onceish/onceish/internal/redact"
)

// plaintextPolicy says what becomes of connections without TLS.
func (o *ConnectOptions) plaintextPolicy(log *slog.Logger) plaintext.Policy {
	return plaintext.Policy{Strict: o.Strict, Logger: log}
}

const natsTLSAdvice = "write tls:// (--nats, NATS_URL), and let the server have a certificate"

// natsPeer is the other side of connections to servers of NATS.
func natsPeer(urls string) *plaintext.Peer {
	return &plaintext.Peer{Name: "NATS", Address: redact.URL(urls), Hosts: natsHosts(urls), Advice: natsTLSAdvice}
}

// natsHosts are the hosts of URLs that are separated by commas.
func natsHosts(urls string) (hosts []string) {
	for one := range strings.SplitSeq(urls, ",") {
		if one = strings.TrimSpace(one); !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		host := ""
		if u, err := url.Parse(one); err == nil {
			host = u.Hostname()
		}
		hosts = append(hosts, host)
	}
	return hosts
}

// strictNATSOptions keep credentials from servers without TLS: the client refuses them before it
// sends any, also later, when it reconnects and when a server refers it to others. Among servers on
// this machine alone it needs no TLS, and follows nobody elsewhere.
func strictNATSOptions(at string) []nats.Option {
	local := (plaintext.Policy{Strict: true}).Check(natsPeer(at)) == nil
	if local {
		return []nats.Option{nats.Dialer(plaintext.LocalDialer(connectTimeout(at)))}
	}
	return []nats.Option{nats.Secure()}
}

// asPlaintextError is err as one of usage, with what to do, where it is that a server has no TLS.
// Servers on this machine need none, unless their URL says so.
func asPlaintextError(at string, o *ConnectOptions, err error) error {
	peer := natsPeer(at)
	hasNoTLS := errors.Is(err, nats.ErrSecureConnWanted) && (plaintext.Policy{Strict: true}).Check(peer) != nil
	if o.Strict && (hasNoTLS || errors.Is(err, plaintext.ErrRefused)) {
		return fmt.Errorf("%w: %w", ErrUsage, peer.Refusal())
	}
	return err
}

// checkNATSEncryption looks at what a connection has become: a server may have TLS, and want it,
// though its URL does not say so.
func checkNATSEncryption(nc *nats.Conn, policy plaintext.Policy) error {
	if _, err := nc.TLSConnectionState(); !errors.Is(err, nats.ErrConnectionNotTLS) {
		return nil // it has TLS, or is down: then the next connection is looked at
	}
	if err := policy.Check(natsPeer(nc.ConnectedUrl())); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return nil
}

// mongoPeer is the other side of connections to a MongoDB.
func mongoPeer(uri string, parsed *connstring.ConnString) *plaintext.Peer {
	p := &plaintext.Peer{Name: "MongoDB", Address: redact.URL(uri), Advice: "add tls=true to the URI (--mongo, MONGODB_URI), and let the server have a certificate"}
	for _, one := range parsed.Hosts {
		p.Hosts = append(p.Hosts, natsHosts("mongodb://"+one)...)
		if strings.HasSuffix(one, ".sock") {
			p.Hosts[len(p.Hosts)-1] = one
		}
	}
	return p
}

// checkMongoEncryption refuses, or warns of, a URI without TLS to servers elsewhere. A strict
// client of this machine alone does not connect to members of a replica set elsewhere.
func checkMongoEncryption(uri string, parsed *connstring.ConnString, o *options.ClientOptions, policy plaintext.Policy) error {
	peer := mongoPeer(uri, parsed)
	if parsed.SSL {
		if policy.Strict && parsed.SSLInsecure {
			return fmt.Errorf("%w: %s at %s: TLS is not verified, so anybody may be the server: leave tlsInsecure out of the URI (--mongo, MONGODB_URI), "+
				"and name its authority in tlsCAFile, or leave --strict out", ErrUsage, peer.Name, peer.Address)
		}
		return nil
	}
	if err := policy.Check(peer); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if policy.Strict {
		o.SetDialer(plaintext.LocalDialer(startTimeout))
	}
	return nil
}
