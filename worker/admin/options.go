package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Options of New. The zero value means the defaults.
type Options struct {
	// Token is what requests must carry, as "Authorization: Bearer TOKEN": 16 to 4,096 visible
	// ASCII characters. /livez, and /readyz without verbose, are answered without it. Empty:
	// everybody who reaches the handler may use it.
	Token string
	// Hosts are the names, without ports, by which clients reach the handler. Others are refused,
	// but for /livez and for /readyz without verbose. Default: those of this machine alone,
	// localhost, 127.0.0.1 and ::1; Listen adds that of its address.
	Hosts []string
	// ReadOnly refuses changes.
	ReadOnly bool
	// Group is the group that /readyz looks at: its streams, its progress and its dead letters.
	// Empty: it looks at none.
	Group string
	// Draining, once closed, makes /readyz fail: nothing has been stopped yet. Nil: Drain does.
	Draining <-chan struct{}
	// Metrics serves the metrics of the process under /metrics, to whom the API is open. Nil: there
	// is no such path.
	Metrics http.Handler
	// Stalled makes /livez fail while it returns an error: a restart of the process would help
	// (Worker.Stalled). It must be safe for concurrent use. Nil: /livez says that the process
	// answers.
	Stalled func() error
	// Logger is told of changes, and of requests that are refused. Nil: slog.Default().
	Logger *slog.Logger
	// writeBody is how long a client may take for a part of an answer; tests shorten it.
	writeBody time.Duration
}

// The bounds of Options.Token.
const (
	minToken = 16
	maxToken = 4096
)

func (o *Options) withDefaults() (Options, error) {
	out := *cmp.Or(o, &Options{})
	out.Logger, out.writeBody = cmp.Or(out.Logger, slog.Default()), cmp.Or(out.writeBody, writeBody)
	if err := checkToken(out.Token); err != nil {
		return out, err
	}
	for _, h := range out.Hosts {
		if h == "" || strings.ContainsAny(h, "/@ *") {
			return out, fmt.Errorf("Options.Hosts has %q: it must be a host's name or address, without a port", h)
		}
	}
	return out, nil
}

// checkToken refuses a token. The error has nothing of it.
func checkToken(token string) error {
	if token == "" {
		return nil
	}
	if len(token) < minToken || len(token) > maxToken {
		return fmt.Errorf("the token has %d bytes: it must have %d to %d", len(token), minToken, maxToken)
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return fmt.Errorf("byte %d of the token is no visible ASCII character: remove spaces and line breaks", i+1)
		}
	}
	return nil
}

// isDraining reports whether Draining was closed or Drain was called.
func (a *API) isDraining() bool {
	select {
	case <-a.o.Draining:
		return true
	default:
		return a.draining.Load()
	}
}

// Drain makes /readyz fail from now on. Everything else is answered.
func (a *API) Drain() { a.draining.Store(true) }

// errClosed is the cause of the end of operations when the API is closed.
var errClosed = errors.New("the API was closed")

// Close cancels the operations that run, ends streams, and waits for all that until ctx ends. No
// others are started. Server.Close calls it; who mounts Handler calls it after the last request.
func (a *API) Close(ctx context.Context) error {
	return errors.Join(a.operations.close(ctx), a.overviews.close(ctx))
}
