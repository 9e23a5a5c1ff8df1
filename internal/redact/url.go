package redact

import "strings"

// URL returns URLs, separated by commas, as they may be shown: without user, password, token and
// options, which may hold secrets as well. It errs on the side of showing too little: all up to the
// last '@' may be a password with an '@' or a comma in it.
func URL(urls string) string {
	scheme, rest, ok := strings.Cut(urls, "://")
	if !ok {
		scheme, rest = "", urls
	}
	if Secret(rest) {
		rest = "***@" + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	rest, _, _ = strings.Cut(rest, "?")
	if scheme == "" || strings.ContainsAny(scheme, "@:/") {
		return rest
	}
	return scheme + "://" + rest
}

// Secret reports whether a URL may hold credentials.
func Secret(urls string) bool { return strings.Contains(urls, "@") }
