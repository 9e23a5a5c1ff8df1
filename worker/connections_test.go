package worker

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

func TestConnectErrorsHideCredentials(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"nats://user:hunter2@127.0.0.1:1", "nats://user:hunter2@ho st", "nats://hunter2@127.0.0.1:1", "nats://user:hunter2/x@127.0.0.1:1",
		"nats://user:hunter2%zz@127.0.0.1:1", "bogus://user:hunter2@127.0.0.1:1", "nats://a:1,nats://user:hunter2@:x",
	} {
		_, err := Connect(t.Context(), &ConnectOptions{NATS: url})
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "NATS_URL") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, uri := range []string{
		"mongodb://user:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=50", "mongodb://user:hunter2%zz@127.0.0.1:1", "mongodb://user:x/hunter2@127.0.0.1:1",
		"mongodb://user:x@hunter2@127.0.0.1:1", "http://user:hunter2@127.0.0.1", "mongodb://user:hunter2@127.0.0.1:1/?authMechanism=hunter2",
	} {
		client, _, _, err := connectMongo(t.Context(), &ConnectOptions{Store: uri, Name: "test"}, "")
		if client != nil || err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "MONGODB_URI") {
			t.Errorf("%s: %v", uri, err)
		}
	}
	if _, err := Connect(t.Context(), nil); !errors.Is(err, ErrUsage) {
		t.Errorf("%v, want %v", err, ErrUsage)
	}
}

// Whoever starts a worker again after a failure does so when DNS has none: a URI is not wrong
// because its servers cannot be looked up.
func TestDNSFailureIsNoWrongUsage(t *testing.T) {
	system := net.DefaultResolver
	defer func() { net.DefaultResolver = system }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no route")
	}}
	client, _, _, err := connectMongo(t.Context(), &ConnectOptions{Store: "mongodb+srv://user:hunter2@shop.example.com/shop", Name: "test"}, "")
	if client != nil || err == nil || errors.Is(err, ErrUsage) || ExitStatus(err) != 1 {
		t.Errorf("%v, exit status %d", err, ExitStatus(err))
	}
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "DNS") {
		t.Errorf("%v", err)
	}
}
