package worker

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// filesOf are a certificate, its key and, for it is its own, its authority.
func filesOf(t *testing.T, c tls.Certificate) TLSFiles {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	must(t, err)
	pair := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
	return TLSFiles{
		CA: file(t, "ca.pem", pair), Certificate: file(t, "client.pem", pair),
		Key: file(t, "client.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
	}
}

// mutual is a server's side of TLS that demands the client's certificate.
func mutual(t *testing.T, c tls.Certificate) *tls.Config {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{c}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
}

// A server that is known by an authority of its own, wants the client's certificate, an nkey and
// another inbox, and whose JetStream has a domain, is used like any other; what the worker makes
// there has the names that were asked for.
func TestConnectSaysWhoItIsAndWhere(t *testing.T) {
	t.Parallel()
	own, user := certificate(t), newIdentity(t, nkeys.CreateUser)
	seed, err := user.pair.Seed()
	must(t, err)
	s := natstest.Start(t, func(o *server.Options) {
		o.TLS, o.TLSVerify, o.TLSConfig, o.JetStreamDomain = true, true, mutual(t, own), "hub"
		o.Nkeys = []*server.NkeyUser{{Nkey: user.public, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{"$JS.hub.API.>", "$JS.API.>", "$KV.marks.>"}}, Subscribe: &server.SubjectPermission{Allow: []string{"_IN.billing.>"}},
		}}}
	})
	o := &ConnectOptions{
		NATS: s.URL(), NKey: file(t, "user.nk", string(seed)), TLS: filesOf(t, own), InboxPrefix: "_IN.billing", Bus: &natsbus.Options{Domain: "hub"},
		Bucket: "marks", Replicas: 1, Provision: true, Logger: slog.New(slog.DiscardHandler),
	}
	c, err := Connect(t.Context(), o)
	must(t, err)
	defer func() { must(t, c.Close()) }()
	if _, err := c.Bus().Topic(t.Context(), "order.placed", "", bus.Start{}); err != nil {
		t.Error(err)
	}
	if _, err := c.Store(t.Context()); err != nil || c.StoreName() != "nats-kv marks" {
		t.Errorf("%q: %v", c.StoreName(), err)
	}
	js, err := jetstream.NewWithDomain(c.NATS(), "hub")
	must(t, err)
	for _, stream := range []string{"KV_marks", natsbus.StreamName("order.placed")} {
		if _, err := js.Stream(t.Context(), stream); err != nil {
			t.Errorf("%s: %v", stream, err)
		}
	}
}

func TestConnectMakesReplicasThatWereAskedFor(t *testing.T) {
	t.Parallel()
	c := &Connections{o: ConnectOptions{Provision: true, Replicas: 3}}
	if o := c.busOptions(); o.Provision == nil || o.Provision.Replicas != 3 {
		t.Errorf("%+v", o.Provision)
	}
}

// Certificates and seeds that cannot be used are refused before anybody is asked, and without
// their contents.
func TestConnectTellsWhatIsWrongWithItsFiles(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	fine, other := filesOf(t, certificate(t)), filesOf(t, certificate(t))
	refusals{
		"no seed":       {ConnectOptions{NATS: s.URL(), NKey: file(t, "no.nk", secret)}, []string{"wrong usage", "no.nk", "NATS_NKEY", "SU"}},
		"no file":       {ConnectOptions{NATS: s.URL(), NKey: "/no/such.nk"}, []string{"wrong usage", "/no/such.nk"}},
		"two users":     {ConnectOptions{NATS: s.URL(), NKey: "a", Credentials: file(t, "c", "-----BEGIN NATS USER JWT-----\n-----BEGIN USER NKEY SEED-----\n")}, []string{"wrong usage", "exclude"}},
		"no authority":  {ConnectOptions{NATS: s.URL(), TLS: TLSFiles{CA: file(t, "ca.pem", secret)}}, []string{"wrong usage", "ca.pem", "--nats-ca"}},
		"half":          {ConnectOptions{NATS: s.URL(), TLS: TLSFiles{Certificate: fine.Certificate}}, []string{"wrong usage", "both"}},
		"another's key": {ConnectOptions{NATS: s.URL(), TLS: TLSFiles{Certificate: fine.Certificate, Key: other.Key}}, []string{"wrong usage", other.Key}},
		"not wanted":    {ConnectOptions{NATS: natsOf(t, certificate(t)), TLS: TLSFiles{CA: other.CA}}, []string{"--nats-ca"}},
	}.check(t)
}

// natsOf is a server with a certificate.
func natsOf(t *testing.T, c tls.Certificate) string {
	t.Helper()
	return natstest.Start(t, func(o *server.Options) { o.TLS, o.TLSConfig = true, &tls.Config{Certificates: []tls.Certificate{c}} }).URL()
}

// A certificate may be replaced while the process runs: the next connection shows the new one.
func TestClientCertificateIsReadForEachConnection(t *testing.T) {
	t.Parallel()
	own := certificate(t)
	shown := make(chan []byte, 2)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { shown <- r.TLS.PeerCertificates[0].Raw }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	defer s.Close()
	files := filesOf(t, own)
	c, err := files.Config()
	must(t, err)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
	for _, next := range []tls.Certificate{own, certificate(t)} {
		replaced := filesOf(t, next)
		move(t, replaced.Certificate, files.Certificate)
		move(t, replaced.Key, files.Key)
		res, err := client.Get(s.URL)
		must(t, err)
		must(t, res.Body.Close())
		if !bytes.Equal(<-shown, next.Certificate[0]) {
			t.Error("the server was shown another certificate")
		}
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.Rename(from, to))
}
