package worker

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"nats://host:4222":                                "nats://host:4222",
		"host:4222":                                       "host:4222",
		"nats://user:hunter2@host:4222":                   "nats://***@host:4222",
		"nats://token@host":                               "nats://***@host",
		"nats://u:hunt@er2@host":                          "nats://***@host",
		"nats://u:a@one:1,nats://u:b@two:2":               "nats://***@two:2",
		"mongodb://u:hunter2@h1,h2/db?authSource=admin":   "mongodb://***@h1,h2/db",
		"mongodb+srv://u:hunter2@cluster.example/?tls=no": "mongodb+srv://***@cluster.example/",
		"u:hunter2@host":                                  "***@host",
		"u:p://hunter2@host":                              "***@host",
	} {
		if got := redact(url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("user", "hunter2", "host:4222")
	f.Add("", "p@ss://word?", "h")
	f.Fuzz(func(t *testing.T, user, password, host string) {
		if len(password) < 3 || strings.Contains(host, "@") || strings.Contains("nats://***@"+host, password) {
			t.Skip("nothing to find")
		}
		if shown := redact("nats://" + user + ":" + password + "@" + host); strings.Contains(shown, password) {
			t.Errorf("%q is in %q", password, shown)
		}
	})
}

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
		_, _, err := connectMongo(t.Context(), uri, "test")
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "MONGODB_URI") {
			t.Errorf("%s: %v", uri, err)
		}
	}
	if _, err := Connect(t.Context(), nil); !errors.Is(err, ErrUsage) {
		t.Errorf("%v, want %v", err, ErrUsage)
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(0x0123456789ab)
	a, b := newID(now), newID(now)
	if a == b || len(a) != 36 || !strings.HasPrefix(a, "01234567-89ab-7") || !strings.Contains("89ab", a[19:20]) {
		t.Errorf("%s and %s are no UUIDs of version 7", a, b)
	}
	if later := newID(now.Add(time.Millisecond)); later <= a {
		t.Errorf("%s comes before %s", later, a)
	}
}
