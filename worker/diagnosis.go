package worker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// explainConnectError says what to try about an error of connecting. Of several servers the client
// tells of one, or of none: each is asked again, alone, all at the same time.
func explainConnectError(at string, o *ConnectOptions, identity []nats.Option, err error) error {
	urls := strings.Split(at, ",")
	if len(urls) == 1 {
		return fmt.Errorf("%w: %s", err, adviseOnConnect(err, o))
	}
	errs := make([]error, len(urls))
	var asking sync.WaitGroup
	for i, one := range urls {
		asking.Go(func() {
			options := append(natsOptions(at, o, slog.New(slog.DiscardHandler)), identity...)
			nc, err := nats.Connect(one, append(options, nats.NoReconnect())...)
			if err == nil {
				_ = closeNATS(nc, startTimeout) // it answers only now
				err = errors.New("it did not answer at first: try again")
			} else {
				err = fmt.Errorf("%w: %s", err, adviseOnConnect(err, o))
			}
			errs[i] = fmt.Errorf("server %d of %d: %w", i+1, len(urls), err)
		})
	}
	asking.Wait()
	return errors.Join(errs...)
}

// adviseOnConnect is what to try about an error of connecting to one server.
func adviseOnConnect(err error, o *ConnectOptions) string {
	var timeout net.Error
	var untrusted *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return "check user and password, or token, in the URL, or the credentials (--nats-creds, NATS_CREDS) and when they expire, or the nkey (--nats-nkey, NATS_NKEY)"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "this server has no TLS: write nats:// instead of tls://"
	case errors.As(err, &untrusted):
		return "name the file with the certificate of the server's authority in --nats-ca or NATS_CA, or in SSL_CERT_FILE, or add it to those that this machine trusts"
	case errors.As(err, &alert):
		return "the server refuses this client in TLS: if it wants a client certificate, name one in --nats-cert and --nats-key (NATS_CERT, NATS_KEY)"
	case errors.Is(err, nats.ErrNoInfoReceived), errors.Is(err, io.EOF), errors.As(err, &timeout) && timeout.Timeout():
		return "what accepts connections there does not speak NATS: is this the server's port for clients, 4222 unless configured?"
	case strings.HasPrefix(err.Error(), "error signing nonce"): // the client has no other mark for it
		return "the credentials (--nats-creds, NATS_CREDS) have no usable seed: make new ones with nsc generate creds"
	}
	if o.Embed == nil {
		return "does a server run there?"
	}
	return "does a server run there? Without a URL this command runs a server of its own"
}
