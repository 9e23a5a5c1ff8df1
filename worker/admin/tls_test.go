package admin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newCertificate makes one for a name, signed by an authority; nil: it is one itself.
func newCertificate(tb testing.TB, name string, by *authority) (*authority, tls.Certificate) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA: by == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	must(tb, err)
	cert, err := x509.ParseCertificate(der)
	must(tb, err)
	return &authority{cert, key}, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// writePEM writes a certificate, and its key, and returns their names.
func writePEM(tb testing.TB, a *authority) (certificate, key string) {
	tb.Helper()
	dir := tb.TempDir()
	der, err := x509.MarshalECPrivateKey(a.key)
	must(tb, err)
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	must(tb, os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600))
	must(tb, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600))
	return certificate, key
}

// With client certificates everybody must show one of a known authority, and the log has its name.
func TestClientsShowACertificate(t *testing.T) {
	t.Parallel()
	operators, _ := newCertificate(t, "operators", nil)
	_, ada := newCertificate(t, "ada", operators)
	strangers, _ := newCertificate(t, "strangers", nil)
	_, mallory := newCertificate(t, "ada", strangers)
	server, _ := newCertificate(t, "server", nil)
	certificate, key := writePEM(t, server)
	clientCA, _ := writePEM(t, operators)
	r := inMemory(t, Options{Hosts: []string{"127.0.0.1"}})
	// No token: the certificates are enough for an address that others reach.
	s := listen(t, r.api, &ListenOptions{Address: "0.0.0.0:0", Certificate: certificate, Key: key, ClientCA: clientCA})
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	must(t, err)
	trusted := x509.NewCertPool()
	trusted.AddCert(server.cert)
	pause := func(certificates ...tls.Certificate) (*http.Response, error) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, Certificates: certificates, MinVersion: tls.VersionTLS12}}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://127.0.0.1:"+port+"/v1/groups/g/pause", strings.NewReader(`{"reason":"r"}`))
		must(t, err)
		req.Header.Set("Content-Type", "application/json")
		return transport.RoundTrip(req)
	}
	for name, certificates := range map[string][]tls.Certificate{"none": nil, "a stranger's": {mallory}} {
		if resp, err := pause(certificates...); err == nil {
			resp.Body.Close()
			t.Errorf("with %s: status %d", name, resp.StatusCode)
		}
	}
	resp, err := pause(ada)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound || !strings.Contains(r.log.String(), "change=pause target=\"group g\" by=ada") {
		t.Errorf("with her own: status %d: %s", resp.StatusCode, r.log)
	}
}
