package worker

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// secret is what no error may tell.
const secret = "hunter2"

// refusals is what a worker may meet instead of a server that lets it in, and what the
// error is to say.
type refusals map[string]struct {
	o    ConnectOptions
	says []string
}

// check connects to each, asks for a topic, and opens the store.
func (all refusals) check(t *testing.T) {
	t.Helper()
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			err := use(t.Context(), r.o)
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Fatalf("%v; want an error without secrets", err)
			}
			for _, want := range r.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nwant it to say %q", err, want)
				}
			}
			if took := time.Since(begun); took > 9*time.Second {
				t.Errorf("that took %v", took)
			}
		})
	}
}

func use(ctx context.Context, o ConnectOptions) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // what hangs fails by what it says
	defer cancel()
	o.Logger = slog.New(slog.DiscardHandler)
	o.Provision = true
	c, err := Connect(ctx, &o)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // what was to be seen was seen
	if _, err := c.Bus().Topic(ctx, "t", "", bus.Start{}); err != nil {
		return err
	}
	_, err = c.Store(ctx)
	return err
}

func TestConnectTellsWhoIsNotLetIn(t *testing.T) {
	t.Parallel()
	user := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "u", "right" })
	token := natstest.Start(t, func(o *server.Options) { o.Authorization = "right" })
	signed, expired, fresh := withJWT(t)
	check := []string{"Authorization Violation", "check user and password", "--nats-creds"}
	refusals{
		"password":    {ConnectOptions{NATS: "nats://u:" + secret + "@" + user.Addr()}, append(check, user.Addr())},
		"no password": {ConnectOptions{NATS: user.URL()}, append(check, user.Addr())},
		"token":       {ConnectOptions{NATS: "nats://" + secret + "@" + token.Addr()}, append(check, token.Addr())},
		"expired":     {ConnectOptions{NATS: signed.URL(), Credentials: expired}, append(check, signed.Addr(), "when they expire")},
		"no credentials": {
			ConnectOptions{NATS: user.URL(), Credentials: "/no/such.creds"},
			[]string{"--nats-creds", "/no/such.creds", "no such file"},
		},
		"empty credentials": {
			ConnectOptions{NATS: user.URL(), Credentials: file(t, "empty.creds", "")},
			[]string{"--nats-creds", "empty.creds has no line -----BEGIN NATS USER JWT-----", "nsc generate creds"},
		},
		"credentials without a seed": {
			ConnectOptions{NATS: user.URL(), Credentials: file(t, "half.creds", "-----BEGIN NATS USER JWT-----\n"+secret+"\n")},
			[]string{"--nats-creds", "half.creds has no line -----BEGIN USER NKEY SEED-----"},
		},
		"broken credentials": {
			ConnectOptions{NATS: signed.URL(), Credentials: file(t, "broken.creds", "-----BEGIN NATS USER JWT-----\n-----BEGIN USER NKEY SEED-----\n"+secret+"\n")},
			[]string{"broken.creds", "(--nats-creds", "no usable seed"},
		},
	}.check(t)
	c, err := Connect(t.Context(), &ConnectOptions{NATS: signed.URL(), Credentials: fresh, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("with credentials that are good: %v", err)
	}
	must(t, c.Close())
}

func TestConnectTellsThatThereIsNoJetStream(t *testing.T) {
	t.Parallel()
	off := natstest.Start(t, func(o *server.Options) { o.JetStream = false })
	account := natstest.Start(t, func(o *server.Options) {
		a := server.NewAccount("without")
		o.Accounts = []*server.Account{a}
		o.Users = []*server.User{{Username: "u", Password: secret, Account: a}}
	})
	refusals{
		"server":  {ConnectOptions{NATS: off.URL()}, []string{off.Addr(), "nats-server -js"}},
		"account": {ConnectOptions{NATS: "nats://u:" + secret + "@" + account.Addr()}, []string{account.Addr(), "for this account"}},
	}.check(t)
}

func TestStoreNamesThePermissionThatIsMissing(t *testing.T) {
	t.Parallel()
	missing := func(subject string) ConnectOptions {
		denied := &server.SubjectPermission{Deny: []string{subject}}
		s := natstest.Start(t, func(o *server.Options) {
			o.Users = []*server.User{{
				Username: "u", Password: secret, Permissions: &server.Permissions{Publish: denied},
			}}
		})
		return ConnectOptions{NATS: "nats://u:" + secret + "@" + s.Addr()}
	}
	const create = "$JS.API.STREAM.CREATE.KV_onceish-dedupe"
	const advice = "nats kv add onceish-dedupe"
	refusals{
		"look up": {missing("$JS.API.INFO"), []string{`not publish to "$JS.API.INFO"`, advice}},
		"create":  {missing(create), []string{`not publish to "` + create + `"`, advice}},
		"write":   {missing("$KV.>"), []string{`not publish to "$KV.onceish-dedupe.`, "allow it"}},
	}.check(t)
}

func TestConnectTellsWhatIsWrongWithTLS(t *testing.T) {
	t.Parallel()
	required := natstest.Start(t, func(o *server.Options) {
		o.TLS, o.TLSConfig = true, &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	})
	without := natstest.Start(t, nil)
	refusals{
		"untrusted": {ConnectOptions{NATS: required.URL()}, []string{required.Addr(), "unknown authority", "SSL_CERT_FILE"}},
		"unwanted":  {ConnectOptions{NATS: "tls://" + without.Addr()}, []string{without.Addr(), "write nats:// instead of tls://"}},
	}.check(t)
}

func TestConnectTellsThatThereIsNoNATS(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(nil)
	t.Cleanup(page.Close)
	silent := listen(t, func(net.Conn) {})
	ssh := listen(t, func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-OpenSSH_9.9\r\n") })
	closing := listen(t, func(c net.Conn) { _ = c.Close() })
	user := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "u", "right" })
	const speaks = "does not speak NATS"
	refusals{
		"nobody":      {ConnectOptions{NATS: "nats://u:" + secret + "@127.0.0.1:1"}, []string{"127.0.0.1:1 ", "does a server run there?"}},
		"silent":      {ConnectOptions{NATS: "nats://" + silent}, []string{silent, "timeout", speaks}},
		"ssh":         {ConnectOptions{NATS: "nats://" + secret + "@" + ssh}, []string{ssh, speaks}},
		"hangs up":    {ConnectOptions{NATS: "nats://" + closing}, []string{closing, speaks}},
		"http":        {ConnectOptions{NATS: strings.Replace(page.URL, "http", "nats", 1)}, []string{page.Listener.Addr().String(), speaks, "4222"}},
		"http scheme": {ConnectOptions{NATS: page.URL}, []string{"wrong usage", "NATS_URL", "nats://host:4222"}},
		"several": {
			ConnectOptions{NATS: "nats://127.0.0.1:1,nats://u:" + secret + "@" + user.Addr() + "," + silent},
			[]string{"server 1 of 3", "does a server run there?", "server 2 of 3", "check user and password", "server 3 of 3", speaks},
		},
	}.check(t)
}

func TestConnectRefusesAnOldServer(t *testing.T) {
	t.Parallel()
	const old = "2.10.29"
	url := natstest.Pretend(t, old)
	refusals{"old": {ConnectOptions{NATS: url}, []string{strings.TrimPrefix(url, "nats://"), old, natsbus.OldestServer, "upgrade"}}}.check(t)
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// listen speaks to who connects, and keeps the connection until the other side closes it.
func listen(t *testing.T, speak func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepting.Go(func() {
				speak(c)
				_, _ = io.Copy(io.Discard, c) // until the other side gives up
				_ = c.Close()                 // it may be closed
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // that ends the accepting
		accepting.Wait()
	})
	return l.Addr().String()
}
