// Package header holds the rules of the headers that a request for an event may have: the form of
// their names and values, and who may set which.
package header

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/onceish/onceish/bus"
)

// What a request says of its event beside CloudEvents' own headers.
const (
	Topic   = "Onceish-Topic"
	Attempt = "Onceish-Attempt"
)

// Form is a name that HTTP and NATS take for a header's (RFC 9110, token), as a regular expression
// that JSON Schema knows too.
const Form = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"

var form = regexp.MustCompile(Form)

// Valid reports whether a name has the Form.
func Valid(name string) bool { return form.MatchString(name) }

// IllegalByte is where a value has a control character; -1 if it has none.
func IllegalByte(value string) int {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return i
		}
	}
	return -1
}

// Settable returns nil for the name of a header that an operator may have sent with each request.
// The error holds no name that is illegal: it may be a value that slipped.
func Settable(name string) error {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case !Valid(name):
		return errors.New("the name of a header has what HTTP does not allow: write letters, digits and dashes")
	case perEvent(canonical):
		return fmt.Errorf("the header %s is set for each request: leave it out", canonical)
	case framing(canonical):
		return fmt.Errorf("the header %s belongs to the connection: leave it out", canonical)
	}
	return nil
}

// Passable returns nil for the name of a header that an event may bring to a service: of what comes
// from publishers nothing may frame the request, authorize it, or say who sends it and where to.
func Passable(name string) error {
	canonical := http.CanonicalHeaderKey(name)
	switch err := Settable(name); {
	case err != nil:
		return err
	case strings.Contains(name, "_"):
		return errors.New("services cannot tell an underscore in the name of a header from a dash, and with dashes the name may be another's: leave it out")
	case canonical == "Content-Type":
		return fmt.Errorf("the header %s is set for each request: leave it out", canonical)
	case authority(canonical):
		return fmt.Errorf("the header %s says who sends a request and where to, which no publisher may: leave it out", canonical)
	}
	return nil
}

// perEvent are headers that say which event this is. They are always ours.
func perEvent(canonical string) bool {
	switch canonical {
	case "Ce-Id", "Ce-Source", "Ce-Type", "Ce-Time", "Ce-Specversion", "Ce-Partitionkey", "Ce-Datacontenttype",
		"Idempotency-Key", "X-Idempotency-Key", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", Topic, Attempt, bus.HeaderGroup:
		return true
	}
	return false
}

// framing are headers between the two ends of a connection.
func framing(canonical string) bool {
	switch canonical {
	case "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings", "Proxy-Connection", "Content-Length", "Expect":
		return true
	}
	return false
}

// authority are headers that say who sends a request, on whose behalf, and what of.
func authority(canonical string) bool {
	switch canonical {
	case "Authorization", "Cookie", "Cookie2", "Set-Cookie", "Host", "Origin", "Referer", "User-Agent", "Via", "Forwarded", "From", "Proxy",
		"Remote-User", "X-Remote-User", "Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip",
		"X-Method-Override", "X-Rewrite-Url":
		return true
	}
	for _, prefix := range [...]string{"Proxy-", "Sec-", "X-Forwarded-", "X-Auth-Request-", "X-Amzn-Oidc-", "X-Http-Method", "X-Original-", "Nats-"} {
		if strings.HasPrefix(canonical, prefix) {
			return true
		}
	}
	return false
}
