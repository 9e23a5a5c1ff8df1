package worker

import (
	"bufio"
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/onceish/onceish/internal/plaintext"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

const unencrypted = "the connection is not encrypted"

// elsewhere is a server of this machine by an address that is not told to be this machine's.
func elsewhere(url string) string { return strings.Replace(url, "127.0.0.1", "0.0.0.0", 1) }

// connectLogged connects, closes the connections, and returns what was logged.
func connectLogged(t *testing.T, o ConnectOptions) (string, error) {
	t.Helper()
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c, err := Connect(t.Context(), &o)
	if err != nil {
		return log.String(), err
	}
	if _, err = c.OpenDatabase(t.Context()); err == nil {
		_, err = c.NATS().RTT()
	}
	must(t, c.Close())
	return log.String(), err
}

// A server elsewhere without TLS is warned of, and one that is told to be strict does not talk to
// it. A server on this machine, and one that has TLS though its URL does not say so, are fine.
func TestPlaintextToAnotherMachine(t *testing.T) {
	t.Parallel()
	own := certificate(t)
	ca := TLSFiles{CA: filesOf(t, own).CA}
	plain := natstest.Start(t, nil).URL()
	for name, c := range map[string]struct {
		o                ConnectOptions
		warned, isStrict bool // isStrict: refused when strict
	}{
		"here":              {ConnectOptions{NATS: plain}, false, false},
		"elsewhere":         {ConnectOptions{NATS: elsewhere(plain)}, true, true},
		"one of two":        {ConnectOptions{NATS: elsewhere(plain) + ",nats://127.0.0.1:1"}, true, true},
		"TLS is demanded":   {ConnectOptions{NATS: elsewhere(natsOf(t, own)), TLS: ca}, false, false},
		"TLS by the scheme": {ConnectOptions{NATS: strings.Replace(elsewhere(natsOf(t, own)), "nats://", "tls://", 1), TLS: ca}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, err := connectLogged(t, c.o)
			if err != nil || strings.Contains(log, unencrypted) != c.warned {
				t.Errorf("%v, %s; want a warning: %v", err, log, c.warned)
			}
			c.o.Strict = true
			log, err = connectLogged(t, c.o)
			if strings.Contains(log, unencrypted) || errors.Is(err, ErrUsage) != c.isStrict || (err != nil) != c.isStrict {
				t.Errorf("strict: %v, %s; want a refusal: %v", err, log, c.isStrict)
			}
			if c.isStrict && (ExitStatus(err) != 2 || !strings.Contains(err.Error(), "0.0.0.0") || !strings.Contains(err.Error(), "tls://")) {
				t.Errorf("strict: %d %v", ExitStatus(err), err)
			}
		})
	}
}

// A server on this machine without TLS, whose URL wants it, is not taken for one elsewhere.
func TestTLSThatAServerHereLacksIsNamed(t *testing.T) {
	t.Parallel()
	at := strings.Replace(natstest.Start(t, nil).URL(), "nats://", "tls://", 1)
	for _, isStrict := range []bool{false, true} {
		_, err := connectLogged(t, ConnectOptions{NATS: at, Strict: isStrict})
		if err == nil || !strings.Contains(err.Error(), "write nats:// instead of tls://") || strings.Contains(err.Error(), "not on this machine") {
			t.Errorf("strict %v: %v", isStrict, err)
		}
	}
}

// A server that leaves TLS to its clients is used with it by strict ones, and is warned of
// otherwise.
func TestStrictTakesTheTLSThatIsOffered(t *testing.T) {
	t.Parallel()
	own := certificate(t)
	config := mutual(t, own)
	s := natstest.Start(t, func(o *server.Options) { o.TLS, o.AllowNonTLS, o.TLSConfig = true, true, config })
	o := ConnectOptions{NATS: elsewhere(s.URL())}
	if log, err := connectLogged(t, o); err != nil || !strings.Contains(log, unencrypted) {
		t.Errorf("%v, %s", err, log)
	}
	o.Strict, o.TLS = true, filesOf(t, own)
	if log, err := connectLogged(t, o); err != nil || strings.Contains(log, unencrypted) {
		t.Errorf("strict: %v, %s", err, log)
	}
}

// What a strict client does not talk to gets nothing: neither a password nor a name.
func TestStrictSendsNoCredentials(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	sent := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			sent <- err.Error()
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte(`INFO {"server_id":"x","version":"2.11.0","max_payload":1048576,"proto":1}` + "\r\n"))
		line, _ := bufio.NewReader(conn).ReadString('\n') // it is closed
		sent <- line
	}()
	_, err = connectLogged(t, ConnectOptions{NATS: "nats://billing:" + secret + "@" + elsewhere(l.Addr().String()), Strict: true})
	must(t, l.Close())
	if got := <-sent; got != "" || !errors.Is(err, plaintext.ErrRefused) || strings.Contains(err.Error(), secret) {
		t.Errorf("it has sent %q: %v", got, err)
	}
}

// The same holds for MongoDB, where TLS that is not verified is as good as none.
func TestPlaintextToAnotherMongoDB(t *testing.T) {
	t.Parallel()
	s, here := natstest.Start(t, nil).URL(), strings.Replace(mongotest.URI(t), "localhost", "127.0.0.1", 1)
	if log, err := connectLogged(t, ConnectOptions{NATS: s, Store: here, Strict: true}); err != nil || strings.Contains(log, unencrypted) {
		t.Errorf("here: %v, %s", err, log)
	}
	away := elsewhere(here)
	if away == here {
		t.Fatalf("%s has no address of the loopback interface", here)
	}
	if log, err := connectLogged(t, ConnectOptions{NATS: s, Store: away}); err != nil || !strings.Contains(log, unencrypted) || !strings.Contains(log, "to=MongoDB") {
		t.Errorf("elsewhere: %v, %s", err, log)
	}
	for uri, says := range map[string]string{
		away: "tls=true", "mongodb://u:" + secret + "@db.example/shop": "tls=true", "mongodb://localhost,db.example/shop": "tls=true",
		"mongodb://u:" + secret + "@db.example/shop?tls=true&tlsInsecure=true": "TLS is not verified",
	} {
		_, err := connectLogged(t, ConnectOptions{NATS: s, Store: uri, Strict: true})
		if ExitStatus(err) != 2 || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "MongoDB at ") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %d %v", uri, ExitStatus(err), err)
		}
	}
	// It gets as far as to look for a server.
	for _, uri := range []string{
		"mongodb://127.0.0.1:1/shop?serverSelectionTimeoutMS=50", "mongodb://%2Fno%2Fsuch.sock/shop?serverSelectionTimeoutMS=50",
		"mongodb://0.0.0.0:1/shop?tls=true&serverSelectionTimeoutMS=50",
	} {
		if _, err := connectLogged(t, ConnectOptions{NATS: s, Store: uri, Strict: true}); ExitStatus(err) != 1 {
			t.Errorf("%s: %d %v", uri, ExitStatus(err), err)
		}
	}
}
