package worker

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/worker/internal/redact"
)

// startTimeout is how long a server may take to answer at the start.
const startTimeout = 5 * time.Second

func connectNATS(at string, o *ConnectOptions, log *slog.Logger) (*nats.Conn, error) {
	if !readable(at) {
		return nil, fmt.Errorf("%w: the NATS URL (--nats, NATS_URL) cannot be read: write nats://host:4222, "+
			"and percent-encode what is special in a user name or password", ErrUsage)
	}
	options := []nats.Option{
		nats.Name(o.Name), nats.Timeout(startTimeout), nats.MaxReconnects(-1), nats.PingInterval(10 * time.Second),
		nats.ReconnectWait(time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("disconnected from NATS: reconnecting", "url", redact.URL(at), "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("reconnected to NATS", "url", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Error("NATS", "error", err) }),
	}
	if o.Credentials != "" {
		options = append(options, nats.UserCredentials(o.Credentials))
	}
	nc, err := nats.Connect(at, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s (--nats, NATS_URL): %w: does a server run there, and may this user connect? "+
			"Without a URL the worker command runs a server of its own", redact.URL(at), err)
	}
	return nc, nil
}

// closeNATS returns when the connection's goroutines have been told.
func closeNATS(nc *nats.Conn) error {
	if nc.IsClosed() {
		return nil
	}
	_ = nc.FlushTimeout(startTimeout) // what is not sent then comes again
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	nc.Close()
	select {
	case <-closed:
	case <-time.After(startTimeout): // it closed by itself meanwhile
	}
	return nil
}

// readable tells whether all URLs, separated by commas, are such. Why one is not is told to nobody: it may say what the password is.
func readable(urls string) bool {
	for s := range strings.SplitSeq(urls, ",") {
		s = strings.TrimSpace(s)
		if !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		if u, err := url.Parse(s); err != nil || u.Host == "" {
			return false
		}
	}
	return true
}
