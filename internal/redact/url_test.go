package redact

import (
	"strings"
	"testing"
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
		if got := URL(url); got != want {
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
		if shown := URL("nats://" + user + ":" + password + "@" + host); strings.Contains(shown, password) {
			t.Errorf("%q is in %q", password, shown)
		}
	})
}
