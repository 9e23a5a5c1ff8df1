package config

import (
	"errors"
	"net/url"
	"strings"
)

// CheckServers takes URLs of NATS servers, separated by commas, and nothing. Its errors hold
// none of them.
func CheckServers(s string) error {
	if s == "" {
		return nil
	}
	for server := range strings.SplitSeq(s, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		u, err := url.Parse(server)
		if err != nil || u.Host == "" || u.Host[0] == '$' {
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
