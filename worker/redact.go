package worker

import (
	"net/url"
	"strings"
)

// redact returns URLs, separated by commas, as they may be shown: without user, password, token and options, which may hold
// secrets as well. It errs on the side of showing too little: all up to the last '@' may be a password with an '@' or a comma in it.
func redact(urls string) string {
	scheme, rest, ok := strings.Cut(urls, "://")
	if !ok {
		scheme, rest = "", urls
	}
	if secret(rest) {
		rest = "***@" + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	rest, _, _ = strings.Cut(rest, "?")
	if scheme == "" || strings.ContainsAny(scheme, "@:/") {
		return rest
	}
	return scheme + "://" + rest
}

// secret tells whether a URL may hold credentials.
func secret(urls string) bool { return strings.Contains(urls, "@") }

// readable tells whether all URLs, separated by commas, are such. Why one is not is told to nobody: it may say what the password is.
func readable(urls string) bool {
	for s := range strings.SplitSeq(urls, ",") {
		s = strings.TrimSpace(s)
		if !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		if u, err := url.Parse(s); err != nil || u.Host == "" {
			return false
		}
	}
	return true
}
