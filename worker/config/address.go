package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
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

// validCollection follows MongoDB's restrictions on names.
func validCollection(s string) error {
	switch {
	case s == "" || strings.ContainsAny(s, "$\x00") || strings.HasPrefix(s, "system.") || strings.HasPrefix(s, ".") || strings.HasSuffix(s, "."):
		return fmt.Errorf("%s is no name of a collection: it must not be empty, hold $, begin with system., nor begin or end with a dot", quoteShort(s))
	case len(s) > maxCollectionName:
		return fmt.Errorf("it is too long for a collection: at most %d bytes", maxCollectionName)
	case HoldsMarks(s):
		return fmt.Errorf("%s has the marks of what was handled: name another collection", quoteShort(s))
	}
	return nil
}

// maxCollectionName leaves room for the database's name and for the collection beside it, within
// the 255 bytes that servers take.
const maxCollectionName = 100

var mongoScheme = regexp.MustCompile(`^mongodb(\+srv)?://.`)

func validMongo(s string) error {
	if s != "" && !mongoScheme.MatchString(s) {
		return errors.New("it does not begin with mongodb:// or mongodb+srv://")
	}
	return nil
}
