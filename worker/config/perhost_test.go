package config_test

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/worker/config"
)

// posting is a file whose subscriptions have these handlers of kind http, and further keys.
func posting(handlers ...string) string {
	var b strings.Builder
	b.WriteString("group: g\nsubscriptions:\n")
	for i, h := range handlers {
		b.WriteString("  - {topic: " + string(rune('a'+i)) + ", handler: {http: {" + h + "}}}\n")
	}
	return b.String()
}

func TestLimitsOfAHostHoldForAllThatPostThere(t *testing.T) {
	t.Parallel()
	c := parseConfig(t, posting("url: 'https://Shop.example/a'", "url: 'https://u:p@shop.EXAMPLE:443/b?c', per_host: {concurrency: 3, rate: 5/m}",
		"url: 'http://shop.example/a'", "url: 'https://shop.example:444'", "url: 'https://other.example', per_host: {rate: 7/s}"), nil)
	shop, other := config.PerHost{Concurrency: 3, Rate: config.Starts{Count: 5, Per: 60e9}}, config.PerHost{Rate: config.Starts{Count: 7, Per: 1e9}}
	for i, want := range []*config.PerHost{&shop, &shop, nil, nil, &other} {
		got := c.Subscriptions[i].Handler.HTTP.PerHost
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("subscriptions[%d]: %+v, want %+v", i, got, want)
		}
	}
}

func TestHostIsOneHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://Shop.example/x": "shop.example:443", "http://shop.example": "shop.example:80", "http://u:p@SHOP.example:8080?q": "shop.example:8080",
		"https://[::1]/": "::1:443", "": "", "http://[": "",
	} {
		if got := (&config.HTTPHandler{URL: url}).Host(); got != want {
			t.Errorf("%q: %q, want %q", url, got, want)
		}
	}
}

func TestOneHostHasOneLimit(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		posting("url: 'http://h', per_host: {concurrency: 3}", "url: 'http://h/x', per_host: {concurrency: 4}"): "w:4:62: subscriptions[1].handler.http.per_host: " +
			"subscriptions[0].handler.http.per_host says something else of the same host, which has one limit in this process: write the same, or give it once",
		posting("url: 'http://h', per_host: {concurrency: 3}", "url: 'http://h/x', per_host: {concurrency: 3}"): "",
		strings.Replace(posting("url: 'http://h', per_host: {rate: 3/s}", "url: 'http://h/x'"), "topic: b", "topic: b, rate: 5/s", 1): "w:4:22: subscriptions[1].rate: " +
			"events start by one rate, and subscriptions[0].handler.http.per_host.rate holds for all that is posted to this host: keep one of them",
		strings.Replace(posting("url: 'http://h', per_host: {concurrency: 3}", "url: 'http://h/x'"), "topic: b", "topic: b, rate: 5/s", 1): "",
	} {
		if problems := lint("w", []byte(file), env(nil)); len(problems) > 1 || strings.TrimPrefix(problems.Error(), "0 mistakes:") != want {
			t.Errorf("%s\n%v, want %s", file, problems, want)
		}
	}
}
