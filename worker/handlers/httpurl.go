package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/onceish/onceish/worker/internal/header"
)

// parseEndpoint reads a URL. Its errors have nothing of it that may be a secret.
func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil { // which would show parts of it
		return nil, errors.New("the URL cannot be read: it must be such as https://host:8443/path; in user, password and query, percent-encode what is no letter or digit")
	}
	switch port := u.Port(); {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the URL%s: it must begin with http:// or https://", describeBadScheme(endpoint))
	case u.Hostname() == "":
		return nil, fmt.Errorf("the URL names no host: it must be such as %s://host:8443/path", u.Scheme)
	case port != "" && !validPort(port):
		return nil, fmt.Errorf("the URL's port is %.8s: it must be from 1 to 65535", port)
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

func validPort(port string) bool {
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}

// describeBadScheme tells which scheme a URL has if that is all that stands there.
func describeBadScheme(endpoint string) string {
	scheme, _, ok := strings.Cut(endpoint, "://")
	if !ok || len(scheme) > 16 || !header.Valid(scheme) {
		return " has no scheme"
	}
	return fmt.Sprintf(" has the scheme %q", scheme)
}

// setBasicAuth sends user and password as basic authentication, unless something else
// is configured.
func setBasicAuth(header http.Header, user *url.Userinfo) {
	if user == nil || header.Get("Authorization") != "" {
		return
	}
	password, _ := user.Password()
	r := http.Request{Header: header}
	r.SetBasicAuth(user.Username(), password)
}
