package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// validServers takes URLs of NATS servers, separated by commas, and nothing. Its errors hold none of them.
func validServers(s string) error {
	if s == "" {
		return nil
	}
	for server := range strings.SplitSeq(s, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		u, err := url.Parse(server)
		if err != nil || u.Host == "" {
			return errors.New("it is no URL: write one such as nats://localhost:4222, and percent-encode what is special in a password")
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return errors.New("its scheme is not nats, tls, ws or wss: write a URL such as nats://localhost:4222")
		}
	}
	return nil
}

// validEndpoint takes the URL of an HTTP service. Its errors hold nothing of it.
func validEndpoint(s string) error {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return errors.New("it is empty: write a URL such as https://localhost:8080/events")
	case err != nil:
		return errors.New("it is no URL: write one such as https://localhost:8080/events, and percent-encode what is special in a password")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("its scheme is neither http nor https: write a URL such as https://localhost:8080/events")
	case u.Hostname() == "":
		return errors.New("it names no host: write a URL such as https://localhost:8080/events")
	case u.Fragment != "":
		return errors.New("it has a fragment (#…), which is never sent: remove it, or write %23")
	}
	return nil
}

// validHeaderName takes an HTTP token. Its errors do not hold the name: it may be a value that slipped.
func validHeaderName(name string) error {
	const special = "!#$%&'*+-.^_`|~"
	odd := func(r rune) bool {
		return r > 0x7e || !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(special, r))
	}
	if name == "" || strings.ContainsFunc(name, odd) {
		return errors.New("the name of a header has what HTTP does not allow: write letters, digits and dashes")
	}
	return nil
}

func validHeaderValue(value string) error {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("its byte %d is a control character, which HTTP does not allow in headers: remove it", i)
		}
	}
	return nil
}
