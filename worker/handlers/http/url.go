package http

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
)

// CheckEndpoint returns why New would refuse a URL. The error has nothing of it.
func CheckEndpoint(endpoint string) error {
	_, err := parseEndpoint(endpoint)
	return err
}

// parseEndpoint reads a URL. Its errors have nothing of it: it may hold secrets.
func parseEndpoint(endpoint string) (*url.URL, error) {
	const example = "write a URL such as https://localhost:8080/events"
	if endpoint == "" {
		return nil, errors.New("it is empty: " + example)
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return nil, errors.New("it is no URL: write one such as https://localhost:8080/events, and percent-encode what is special in a password")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("its scheme is neither http nor https: " + example)
	case u.Hostname() == "":
		return nil, errors.New("it names no host: " + example)
	case u.Port() != "" && !validPort(u.Port()):
		return nil, errors.New("its port is not from 1 to 65535")
	case u.Fragment != "":
		return nil, errors.New("it has a fragment (#…), which is never sent: remove it, or write %23")
	}
	return u, nil
}

func validPort(port string) bool {
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
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
