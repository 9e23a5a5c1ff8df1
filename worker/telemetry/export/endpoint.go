package export

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/onceish/onceish/internal/plaintext"
	"github.com/onceish/onceish/worker"
)

// checkVariables refuses endpoints and headers that the SDK would log, with what is secret in them,
// and ignore. It warns of, or refuses, a receiver elsewhere that is sent to without TLS.
func (s signal) checkVariables(policy plaintext.Policy) error {
	for _, name := range s.variables("ENDPOINT") {
		if !isEndpoint(os.Getenv(name)) {
			return fmt.Errorf("%w: %s: it is no URL: write one such as http://localhost:4318", worker.ErrUsage, name)
		}
	}
	for _, name := range s.variables("HEADERS") {
		if !areHeaders(os.Getenv(name)) {
			return fmt.Errorf("%w: %s: it is no list of NAME=VALUE, separated by commas, such as authorization=Bearer%%20TOKEN: in values, write a comma as %%2C and a percent sign as %%25",
				worker.ErrUsage, name)
		}
	}
	name, text := s.setting("ENDPOINT")
	u, err := url.Parse(text)
	if text == "" || err != nil || !s.isPlaintext(u) {
		return nil //nolint:nilerr // it was parsed before
	}
	err = policy.Check(&plaintext.Peer{
		Name: "the receiver of " + s.what, Address: u.Scheme + "://" + u.Host, Hosts: []string{u.Hostname()}, Advice: "write https:// in " + name,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", worker.ErrUsage, err)
	}
	return nil
}

// isEndpoint reports whether spans or metrics may be sent there. Empty is this machine.
func isEndpoint(text string) bool {
	if text = strings.TrimSpace(text); text == "" {
		return true
	}
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// areHeaders reports whether the SDK takes all of a list of headers.
func areHeaders(text string) bool {
	if text = strings.TrimSpace(text); text == "" {
		return true
	}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, found := strings.Cut(pair, "=")
		_, err := url.PathUnescape(value)
		if !found || err != nil || !isToken(strings.TrimSpace(name)) {
			return false
		}
	}
	return true
}

// isToken reports whether a text may be the name of a header (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	return name != "" && strings.IndexFunc(name, func(c rune) bool {
		isLetter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		return !isLetter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	}) < 0
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
