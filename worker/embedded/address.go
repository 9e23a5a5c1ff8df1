package embedded

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	loopback = "127.0.0.1"
	user     = "onceish"
	urlFile  = "nats.url"
)

// address is where the server of a directory listens, and what it asks for.
type address struct {
	port     int
	password string
}

func newAddress() address { return address{port: server.RANDOM_PORT, password: rand.Text()} }

// String is the address as a URL.
func (a address) String() string {
	u := url.URL{Scheme: "nats", User: url.UserPassword(user, a.password), Host: net.JoinHostPort(loopback, strconv.Itoa(a.port))}
	return u.String()
}

// Check lets clients in.
func (a address) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	return o.Username == user && subtle.ConstantTimeCompare([]byte(o.Password), []byte(a.password)) == 1
}

func readAddress(dir string) (address, error) {
	b, err := os.ReadFile(filepath.Join(dir, urlFile)) //nolint:gosec // the user's own directory
	if err != nil {
		return address{}, err
	}
	return parseAddress(strings.TrimSpace(string(b)))
}

var errAddress = errors.New("not the address of an embedded server")

// parseAddress reads what String writes, and nothing else: whatever it says is connected to
// with a password.
func parseAddress(s string) (address, error) {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return address{}, errAddress
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil || port < 1 || port > 65535 {
		return address{}, errAddress
	}
	a := address{port: port}
	a.password, _ = u.User.Password()
	if a.password == "" || a.String() != s {
		return address{}, errAddress
	}
	return a, nil
}

// write replaces the file as a whole.
func (a address) write(dir string) error {
	name := filepath.Join(dir, urlFile)
	f, err := os.CreateTemp(dir, urlFile+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(a.String() + "\n")
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// free reports whether nobody listens at the address.
func (a address) free() bool {
	if a.port == server.RANDOM_PORT {
		return true
	}
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(a.port))) //nolint:noctx // it does not wait
	return err == nil && l.Close() == nil
}

// probe asks whether our server is there: the file may be older than the one who holds the lock,
// and somebody else may have got the port since.
func (a address) probe(ctx context.Context) error {
	timeout := time.Second
	if end, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(end))
	}
	nc, err := nats.Connect(a.String(), nats.Timeout(max(timeout, time.Millisecond)), nats.NoReconnect())
	if err != nil {
		return fmt.Errorf("at %s:%d: %w", loopback, a.port, err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	nc.Close()
	<-closed
	return nil
}

func port(s *server.Server) int {
	if tcp, ok := s.Addr().(*net.TCPAddr); ok {
		return tcp.Port
	}
	return 0
}
