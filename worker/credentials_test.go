package worker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/onceish/onceish/internal/testing/natstest"
)

// identity is a key pair of an operator, an account or a user.
type identity struct {
	pair   nkeys.KeyPair
	public string
}

func newIdentity(t *testing.T, create func() (nkeys.KeyPair, error)) identity {
	t.Helper()
	pair, err := create()
	must(t, err)
	public, err := pair.PublicKey()
	must(t, err)
	return identity{pair, public}
}

// withJWT is a server that knows users by JWT, with credentials that have expired and others
// that have not.
func withJWT(t *testing.T) (s *natstest.Server, expired, fresh string) {
	t.Helper()
	operator, account := newIdentity(t, nkeys.CreateOperator), newIdentity(t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(account.public)
	signed, err := claims.Encode(operator.pair)
	must(t, err)
	accounts := &server.MemAccResolver{}
	must(t, accounts.Store(account.public, signed))
	s = natstest.Start(t, func(o *server.Options) {
		o.TrustedKeys, o.AccountResolver = []string{operator.public}, accounts
		o.JetStream = false // it wants a system account then
	})
	return s, credentials(t, account, "expired.creds", -time.Hour), credentials(t, account, "fresh.creds", time.Hour)
}

func credentials(t *testing.T, account identity, name string, lifetime time.Duration) string {
	t.Helper()
	user := newIdentity(t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(user.public)
	claims.Expires = time.Now().Add(lifetime).Unix()
	signed, err := claims.Encode(account.pair)
	must(t, err)
	seed, err := user.pair.Seed()
	must(t, err)
	content, err := jwt.FormatUserConfig(signed, seed)
	must(t, err)
	return file(t, name, string(content))
}

// certificate is one that nobody trusts.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4zero}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
