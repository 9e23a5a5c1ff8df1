package worker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	natsbus "github.com/onceish/onceish/bus/jetstream"
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
		return nil, fmt.Errorf("connect to NATS at %s (--nats, NATS_URL): %w", redact.URL(at), explainConnectError(at, o, identity, err))
	}
	return nc, nil
}

// connectTimeout is how long each of several servers may take, so that all together take not much
// longer than one.
func connectTimeout(urls string) time.Duration {
	n := strings.Count(urls, ",") + 1
	return max(startTimeout/time.Duration(n), 2*time.Second)
}

func natsOptions(at string, o *ConnectOptions, log *slog.Logger) []nats.Option {
	return append(natsbus.ConnectionOptions(o.Lease),
		nats.Name(o.Name), nats.Timeout(connectTimeout(at)),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("disconnected from NATS: reconnecting", "url", redact.URL(at), "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("reconnected to NATS", "address", nc.ConnectedAddr()) }),
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
