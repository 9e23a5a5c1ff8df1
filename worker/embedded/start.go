package embedded

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// start starts a server at the address that the directory had before, or anywhere.
func start(dir string, log *slog.Logger, anywhere bool) (*server.Server, address, error) {
	at, err := readAddress(dir)
	if err != nil {
		at = newAddress()
	}
	if anywhere && !at.free() {
		at.port = server.RANDOM_PORT
	}
	l := &logger{log: log}
	s, err := run(dir, at, l)
	if err != nil {
		if said := l.fatal(); said != nil {
			err = said
		}
		return nil, at, fmt.Errorf("embedded NATS server: %w", err)
	}
	at.port = port(s)
	if err := at.write(dir); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, at, fmt.Errorf("write down its address: %w", err)
	}
	return s, at, nil
}

func run(dir string, at address, l *logger) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "onceish-embedded", Host: loopback, Port: at.port, CustomClientAuthentication: at,
		JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true,
	})
	if err != nil {
		return nil, err
	}
	s.SetLoggerV2(l, false, false, false)
	s.Start()
	if s.ReadyForConnections(readyIn) && s.JetStreamEnabled() {
		return s, nil
	}
	s.Shutdown()
	s.WaitForShutdown()
	return nil, fmt.Errorf("it was not ready after %v", readyIn)
}

// readyIn is how long a server may take to listen once it has recovered its streams.
const readyIn = 10 * time.Second

// logger passes on what somebody should look at.
type logger struct {
	log *slog.Logger

	mu    sync.Mutex
	first error
}

func (l *logger) Noticef(format string, v ...any) { l.log.Debug(line(format, v)) }
func (l *logger) Warnf(format string, v ...any)   { l.log.Warn(line(format, v)) }
func (l *logger) Errorf(format string, v ...any)  { l.log.Error(line(format, v)) }
func (l *logger) Debugf(string, ...any)           {}
func (l *logger) Tracef(string, ...any)           {}

// Fatalf keeps why the server does not start.
func (l *logger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = fmt.Errorf(format, v...)
	}
}

func (l *logger) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

func line(format string, v []any) string { return "embedded NATS server: " + fmt.Sprintf(format, v...) }
