package admin

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/onceish/onceish/internal/plaintext"
	"github.com/onceish/onceish/internal/tcplisten"
	"github.com/onceish/onceish/worker"
)

// DefaultAddress is where an API listens if nothing else is said.
const DefaultAddress = "127.0.0.1:8488"

// ListenOptions of API.Listen. The zero value means the defaults.
type ListenOptions struct {
	// Address is a host and a port. Empty: DefaultAddress. Port 0 is a free one. An address that
	// others than this machine reach needs a token or ClientCA.
	Address string
	// Prefix of all paths, such as "/admin". Empty: none.
	Prefix string
	// Certificate and Key are files in PEM. Empty: it speaks plain HTTP.
	Certificate, Key string
	// ClientCA is a file in PEM with the authorities of client certificates, of which every client
	// must show one. It needs Certificate. Empty: none is asked for.
	ClientCA string
	// Strict refuses an address that other machines reach without a certificate, as
	// worker.ErrUsage: whoever is on the way could read the token. False: it is logged as a
	// warning.
	Strict bool
}

// What connections may take.
const (
	readHeader     = 5 * time.Second
	idleConnection = time.Minute
	maxHeaderBytes = 16 << 10
	closeServer    = 5 * time.Second
)

// Server serves an API at an address. Serve or Actor runs it, and Close ends it; their methods are
// safe for concurrent use.
type Server struct {
	api      *API
	listener net.Listener
	http     *http.Server
	scheme   string
	stopped  chan struct{}
	stop     sync.Once
	closed   sync.Once
	closeErr error
	served   chan error // the end of the HTTP server, once it was started
	start    sync.Once
}

// Listen opens the address of a server, which answers once it runs. It refuses an address that
// others than this machine reach unless each client has to show a token or a certificate, or where
// nothing says by which names clients reach it (Options.Hosts): worker.ErrUsage.
func (a *API) Listen(ctx context.Context, o *ListenOptions) (*Server, error) {
	opts := *cmp.Or(o, &ListenOptions{})
	opts.Address = cmp.Or(opts.Address, DefaultAddress)
	config, err := opts.loadTLS()
	if err != nil {
		return nil, fmt.Errorf("admin API: %w", err)
	}
	address, hosts, err := a.checkAddress(ctx, &opts)
	if err != nil {
		return nil, fmt.Errorf("admin API: %w", err)
	}
	if err := a.checkEncryption(&opts, address); err != nil {
		return nil, fmt.Errorf("admin API: %w", err)
	}
	l, err := tcplisten.Open(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("admin API: %w", err)
	}
	s := &Server{api: a, listener: l, scheme: "http", stopped: make(chan struct{}), served: make(chan error, 1)}
	if config != nil {
		s.listener, s.scheme = tls.NewListener(l, config), "https"
	}
	s.http = &http.Server{
		Handler: a.handlerFor(opts.Prefix, hosts), ReadHeaderTimeout: readHeader, IdleTimeout: idleConnection, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(a.o.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// checkAddress returns the address to listen at, and the names by which it is reached.
func (a *API) checkAddress(ctx context.Context, o *ListenOptions) (address string, hosts []string, err error) {
	host, port, err := net.SplitHostPort(o.Address)
	if err != nil {
		return "", nil, fmt.Errorf("%w: the address %q: it must be HOST:PORT, such as %s: %w", worker.ErrUsage, o.Address, DefaultAddress, err)
	}
	ip := net.IPv6unspecified
	if host != "" {
		found, err := net.DefaultResolver.LookupIP(ctx, "ip", host)
		if err != nil {
			return "", nil, fmt.Errorf("the address %q: %w", o.Address, err)
		}
		ip = found[0]
	}
	if ip.IsLoopback() {
		return net.JoinHostPort(ip.String(), port), []string{"localhost", "127.0.0.1", "::1", host}, nil
	}
	switch {
	case a.o.Token == "" && o.ClientCA == "":
		return "", nil, fmt.Errorf("%w: the address %q can be reached from other machines: set a token (ONCEISH_ADMIN_TOKEN, --admin-token-file) "+
			"or client certificates (--admin-client-ca), or listen at %s", worker.ErrUsage, o.Address, DefaultAddress)
	case ip.IsUnspecified() && len(a.o.Hosts) == 0:
		return "", nil, fmt.Errorf("%w: the address %q stands for all addresses of this machine: say by which names clients reach it (--admin-hosts)", worker.ErrUsage, o.Address)
	case ip.IsUnspecified():
		return o.Address, nil, nil
	}
	return net.JoinHostPort(ip.String(), port), []string{host, ip.String()}, nil
}

// checkEncryption warns of, or refuses, an address that others reach in plain HTTP.
func (a *API) checkEncryption(o *ListenOptions, address string) error {
	if o.Certificate != "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	err = plaintext.Policy{Strict: o.Strict, Logger: a.o.Logger}.Check(&plaintext.Peer{
		Name: "the admin API", Address: o.Address, Hosts: []string{host}, Advice: "set its certificate and key (--admin-cert, --admin-key), or listen at " + DefaultAddress + " behind a proxy that has one",
	})
	if err != nil {
		return fmt.Errorf("%w: %w", worker.ErrUsage, err)
	}
	return nil
}

// loadTLS returns nil where there is no certificate.
func (o *ListenOptions) loadTLS() (*tls.Config, error) {
	if o.Certificate == "" && o.Key == "" {
		if o.ClientCA != "" {
			return nil, fmt.Errorf("%w: client certificates are shown over TLS alone: set a certificate and a key as well (--admin-cert, --admin-key)", worker.ErrUsage)
		}
		return nil, nil //nolint:nilnil // there is none
	}
	pair, err := tls.LoadX509KeyPair(o.Certificate, o.Key)
	if err != nil {
		return nil, fmt.Errorf("the certificate and its key: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	if o.ClientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(o.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("the authorities of clients: %w", err)
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the authorities of clients: %s has no certificate in PEM", o.ClientCA)
	}
	return config, nil
}

// URL is where the API is, without its prefix.
func (s *Server) URL() string { return s.scheme + "://" + s.listener.Addr().String() }

// Serve answers requests until ctx ends, and then closes the server. It returns nil then, and
// otherwise why it has ended.
func (s *Server) Serve(ctx context.Context) error {
	run, stop := s.Actor()
	defer context.AfterFunc(ctx, func() { stop(context.Cause(ctx)) })()
	err := run()
	return errors.Join(err, s.Close())
}

// Actor returns what answers requests until it is stopped. The server goes on to answer, with a
// /readyz that fails, until Close: a worker that drains can be watched.
func (s *Server) Actor() (run func() error, stop func(error)) {
	run = func() error {
		s.startServing()
		s.api.o.Logger.Info("admin API", "url", s.URL(), "read_only", s.api.o.ReadOnly)
		select {
		case <-s.stopped:
			return nil
		case err := <-s.served:
			s.served <- err // for Close
			return fmt.Errorf("admin API: %w", err)
		}
	}
	return run, func(error) {
		s.api.Drain()
		s.stop.Do(func() { close(s.stopped) })
	}
}

// startServing starts the HTTP server, whose end Close waits for.
func (s *Server) startServing() {
	s.start.Do(func() {
		go func() { s.served <- s.http.Serve(s.listener) }()
	})
}

// Close stops answering: requests that are worked on have five seconds to end, and operations are
// cancelled. Repeated calls return the same error.
func (s *Server) Close() error {
	s.closed.Do(func() {
		s.api.Drain()
		s.stop.Do(func() { close(s.stopped) })
		ctx, cancel := context.WithTimeout(context.Background(), closeServer)
		defer cancel()
		s.startServing()   // also where it never ran: it ends the listener then
		s.api.EndStreams() // it waits for them
		err := s.http.Shutdown(ctx)
		if err != nil {
			err = errors.Join(fmt.Errorf("admin API: requests were cut off: %w", err), s.http.Close())
		}
		if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		s.closeErr = errors.Join(err, s.api.Close(ctx))
	})
	return s.closeErr
}
