package export

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/onceish/onceish/internal/plaintext"
	"github.com/onceish/onceish/worker"
)

// checkEndpoint warns of, or refuses, a receiver elsewhere that is sent to without TLS. It also
// refuses an endpoint that is no URL: the SDK would log it with what is secret in it, and send to
// this machine instead.
func (s signal) checkEndpoint(policy plaintext.Policy) error {
	name, text := s.setting("ENDPOINT")
	if text == "" {
		return nil // this machine
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%w: %s: it is no URL: write one such as http://localhost:4318", worker.ErrUsage, name)
	}
	if !s.isPlaintext(u) {
		return nil
	}
	err = policy.Check(&plaintext.Peer{
		Name: "the receiver of " + s.what, Address: u.Scheme + "://" + u.Host, Hosts: []string{u.Hostname()}, Advice: "write https:// in " + name,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", worker.ErrUsage, err)
	}
	return nil
}

// isPlaintext reports whether the SDK has no TLS with an endpoint. A variable, if it is set, counts
// for more than the scheme.
func (s signal) isPlaintext(endpoint *url.URL) bool {
	if _, insecure := s.setting("INSECURE"); insecure != "" {
		return strings.EqualFold(insecure, "true")
	}
	return endpoint.Scheme == "http"
}

// setting returns the variable that counts for a setting, and its value. Empty: there is none.
func (s signal) setting(setting string) (name, value string) {
	for _, name = range s.variables(setting) {
		if value = strings.TrimSpace(os.Getenv(name)); value != "" {
			return name, value
		}
	}
	return name, ""
}
