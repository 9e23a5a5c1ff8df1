package config

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// validServers takes URLs of NATS servers, separated by commas, and nothing. Its errors hold
// none of them.
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
	case u.Port() != "" && !validPort(u.Port()):
		return errors.New("its port is not from 1 to 65535")
	case u.Fragment != "":
		return errors.New("it has a fragment (#…), which is never sent: remove it, or write %23")
	}
	return nil
}

func validPort(port string) bool {
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}
