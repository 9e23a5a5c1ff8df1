package worker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
)

// TLSFiles are files in PEM. The zero value has none.
type TLSFiles struct {
	// CA are the authorities that are trusted. Empty: those of the machine.
	CA string
	// Certificate and Key are the client's: both, or none. They are read for each connection, so
	// they may be replaced at any time.
	Certificate, Key string
}

// Config is for clients of TLS; nil if there are no files. It fails where they cannot be
// read: ErrUsage.
func (f TLSFiles) Config() (*tls.Config, error) {
	if f == (TLSFiles{}) {
		return nil, nil //nolint:nilnil // the defaults
	}
	if (f.Certificate == "") != (f.Key == "") {
		return nil, fmt.Errorf("%w: a client's certificate and its key are needed, both", ErrUsage)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		var err error
		if c.RootCAs, err = loadAuthorities(f.CA); err != nil {
			return nil, err
		}
	}
	if f.Certificate != "" {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
			return &pair, err
		}
		if _, err := c.GetClientCertificate(nil); err != nil {
			return nil, fmt.Errorf("%w: the client's certificate %s and its key %s: %w", ErrUsage, f.Certificate, f.Key, err)
		}
	}
	return c, nil
}

func loadAuthorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file) //nolint:gosec // the user's own file
	if err != nil {
		return nil, fmt.Errorf("%w: the certificates of authorities: %w", ErrUsage, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: the certificates of authorities: %s has none in PEM", ErrUsage, file)
	}
	return pool, nil
}

// identityOptions say who connects to NATS, and whom it trusts. Files that cannot be read are
// ErrUsage; what is in them is told to nobody.
func identityOptions(o *ConnectOptions) (options []nats.Option, err error) {
	if o.Credentials != "" && o.NKey != "" {
		return nil, fmt.Errorf("%w: NATS credentials (--nats-creds, NATS_CREDS) and an nkey (--nats-nkey, NATS_NKEY) exclude each other", ErrUsage)
	}
	if o.Credentials != "" {
		options = append(options, nats.UserCredentials(o.Credentials))
	}
	if o.NKey != "" {
		option, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, fmt.Errorf("%w: the nkey (--nats-nkey, NATS_NKEY): %w", ErrUsage, withoutSeed(o.NKey, err))
		}
		options = append(options, option)
	}
	if _, err := o.TLS.Config(); err != nil {
		return nil, fmt.Errorf("TLS with NATS (--nats-ca, --nats-cert, --nats-key): %w", err)
	}
	if o.TLS.CA != "" {
		options = append(options, nats.RootCAs(o.TLS.CA))
	}
	if o.TLS.Certificate != "" {
		options = append(options, nats.ClientCert(o.TLS.Certificate, o.TLS.Key))
	}
	if o.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(o.InboxPrefix))
	}
	return options, nil
}

// withoutSeed is why a file holds no seed, without what it holds.
func withoutSeed(file string, err error) error {
	if at, ok := errors.AsType[*os.PathError](err); ok {
		return at
	}
	return fmt.Errorf("%s holds no seed of a user (SU…): make one with nk -gen user", file)
}
