package worker

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/plaintext"
	"github.com/onceish/onceish/internal/redact"
	"github.com/onceish/onceish/worker/config"
)

// startTimeout is how long a server may take to answer at the start.
const startTimeout = 5 * time.Second

func connectNATS(at string, o *ConnectOptions, log *slog.Logger) (*nats.Conn, error) {
	if config.CheckServers(at) != nil {
		return nil, fmt.Errorf("%w: the NATS URL (--nats, NATS_URL) cannot be read: write nats://host:4222, "+
			"and percent-encode what is special in a user name or password", ErrUsage)
	}
	if err := checkCredentials(o.Credentials); err != nil {
		return nil, err
	}
	identity, err := identityOptions(o)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(at, append(natsOptions(at, o, log), identity...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s (--nats, NATS_URL): %w", redact.URL(at), asPlaintextError(at, o, explainConnectError(at, o, identity, err)))
	}
	if err := checkNATSEncryption(nc, o.plaintextPolicy(log)); err != nil {
		return nil, errors.Join(err, closeNATS(nc, startTimeout))
	}
	return nc, nil
}

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

// connectTimeout is how long each of several servers may take, so that all together take not much
// longer than one.
func connectTimeout(urls string) time.Duration {
	n := strings.Count(urls, ",") + 1
	return max(startTimeout/time.Duration(n), 2*time.Second)
}

func natsOptions(at string, o *ConnectOptions, log *slog.Logger) []nats.Option {
	options := natsbus.ConnectionOptions(o.Lease)
	if o.NamedServersOnly {
		options = append(options, nats.IgnoreDiscoveredServers())
	}
	if o.Strict {
		options = append(options, strictNATSOptions(at)...)
	}
	return append(options,
		nats.Name(o.Name), nats.Timeout(connectTimeout(at)),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("disconnected from NATS: reconnecting", "url", redact.URL(at), "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("reconnected to NATS", "address", nc.ConnectedAddr())
			_ = checkNATSEncryption(nc, plaintext.Policy{Logger: log}) // it warns; strict clients refuse before
		}),
		nats.ErrorHandler((&connectionErrorLog{log: log}).logError),
	)
}

// maxLoggedErrors is how many permissions that lack are told apart.
const maxLoggedErrors = 1000

// connectionErrorLog logs what a connection's errors are, and what the user lacks a permission for
// once: whoever may not do a thing may not do it the next time either.
type connectionErrorLog struct {
	log *slog.Logger

	mu     sync.Mutex
	logged map[string]bool
}

func (c *connectionErrorLog) logError(_ *nats.Conn, _ *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		c.log.Error("NATS", "error", err)
		return
	}
	c.mu.Lock()
	known := c.logged[err.Error()]
	if c.logged == nil || len(c.logged) >= maxLoggedErrors {
		c.logged = make(map[string]bool)
	}
	c.logged[err.Error()] = true
	c.mu.Unlock()
	if !known {
		c.log.Error("NATS refuses this user a permission: it is logged once", "error", err)
	}
}

// closeNATS returns when the connection's goroutines have been told. It waits for the server no
// longer than it may.
func closeNATS(nc *nats.Conn, may time.Duration) error {
	if nc.IsClosed() {
		return nil
	}
	_ = nc.FlushTimeout(may) // what is not sent then is redelivered
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	nc.Close()
	select {
	case <-closed:
	case <-time.After(may): // it closed by itself meanwhile
	}
	return nil
}

// checkCredentials says why a file holds no credentials; what it holds instead is told to
// nobody. An empty name is none.
func checkCredentials(name string) error {
	if name == "" {
		return nil
	}
	b, err := os.ReadFile(name) //nolint:gosec // the user's own file
	if err != nil {
		return fmt.Errorf("%w: the NATS credentials (--nats-creds, NATS_CREDS): %w", ErrUsage, err)
	}
	for _, part := range []string{"-----BEGIN NATS USER JWT-----", "-----BEGIN USER NKEY SEED-----"} {
		if !bytes.Contains(b, []byte(part)) {
			return fmt.Errorf("%w: the NATS credentials (--nats-creds, NATS_CREDS): %s has no line %s: make it with nsc generate creds", ErrUsage, name, part)
		}
	}
	return nil
}
