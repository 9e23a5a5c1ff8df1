package main

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/onceish/onceish/worker/config"
)

// canaries are secrets that are found again wherever they are shown. Each key of the configuration
// has one of its own.
type canaries struct {
	t     *testing.T
	house *house
	// where maps each form that a secret may be shown in to the key that has it.
	where map[string]string
	keys  map[string]bool
}

func newCanaries(h *house) *canaries {
	return &canaries{t: h.t, house: h, where: make(map[string]string), keys: make(map[string]bool)}
}

// text is a secret for a key: letters and digits, of which 32 are base64 as well.
func (c *canaries) text(key string) string {
	c.keys[key] = true
	secret := fmt.Sprintf("canary%026d", len(c.where)+1)
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
		c.where[form] = key
	}
	return secret
}

// login is a user and a password for a URL, also as basic authentication has them.
func (c *canaries) login(key string) string {
	password := c.text(key)
	c.where[base64.StdEncoding.EncodeToString([]byte("worker:"+password))] = key
	return "worker:" + password
}

// file is the name of a file that has a secret, beside other text.
func (c *canaries) file(key, text string) string {
	name := c.house.path(fmt.Sprintf("secret%d", len(c.where)))
	check(c.t, os.WriteFile(name, []byte(c.text(key)+"\n"+text), 0o600))
	return name
}

// absent fails the test where a text shows a secret.
func (c *canaries) absent(where, text string) {
	c.t.Helper()
	for form, key := range c.where {
		if i := strings.Index(text, form); i >= 0 {
			c.t.Errorf("%s shows the secret of %s: …%s…", where, key, text[max(0, i-200):min(len(text), i+len(form)+100)])
		}
	}
}

// complete fails the test where a key of the configuration has no secret.
func (c *canaries) complete() {
	c.t.Helper()
	for _, k := range config.SecretKeys() {
		if !c.keys[k.Path] {
			c.t.Errorf("no canary is in %s: add it to a file of this test", k.Path)
		}
	}
}

// A canary is found in each form, and a key without one is as well.
func TestCanariesAreFound(t *testing.T) {
	t.Parallel()
	c := newCanaries(newHouse(t))
	login := c.login("nats.url")
	found := 0
	for form := range c.where {
		for _, text := range []string{login, "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(login)), base64.StdEncoding.EncodeToString([]byte(strings.TrimPrefix(login, "worker:")))} {
			if strings.Contains(text, form) {
				found++
			}
		}
	}
	if found < 3 || len(c.keys) != 1 {
		t.Errorf("%d forms are found of %v", found, c.where)
	}
}
