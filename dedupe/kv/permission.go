package kv

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// What to do about a permission that is missing.
const (
	allowIt    = "allow it"
	allowInbox = "allow it, for answers arrive there, or give the connection another inbox prefix"
)

func addCommand(bucket string) string { return "nats kv add " + bucket + " --marker-ttl 1m" }

// Texts of the server, before a quoted subject.
const (
	subscriptions = "Permissions Violation for Subscription to "
	publications  = "Permissions Violation for Publish to "
)

// permissionError returns what this user is not permitted, if that is why one of the requests to
// the subjects was not answered: the server refuses such a request with an error of the connection,
// and never answers it. A subject that ends with a dot stands for all below it. Nil: there is no
// such error. advice is what to do where a request was refused.
func permissionError(nc *nats.Conn, advice string, subjects ...string) error {
	last := nc.LastError()
	if !errors.Is(last, nats.ErrPermissionViolation) {
		return nil
	}
	if subject, ok := quotedAfter(last.Error(), subscriptions); ok && underInbox(nc, subject) {
		return fmt.Errorf("%w: this user may not subscribe to %q: %s: %w",
			ErrNoAnswer, subject, allowInbox, last)
	}
	subject, ok := quotedAfter(last.Error(), publications)
	asked := slices.ContainsFunc(subjects, func(s string) bool {
		return s == subject || strings.HasSuffix(s, ".") && strings.HasPrefix(subject, s)
	})
	if !ok || !asked {
		return nil
	}
	return fmt.Errorf("%w: this user may not publish to %q: %s: %w",
		ErrNoAnswer, subject, advice, last)
}

// underInbox reports whether answers to this connection arrive under a subject.
func underInbox(nc *nats.Conn, subject string) bool {
	inbox := cmp.Or(nc.Opts.InboxPrefix, nats.InboxPrefix)
	return strings.HasPrefix(subject, strings.TrimSuffix(inbox, ".")+".")
}

func quotedAfter(text, prefix string) (string, bool) {
	_, rest, found := strings.Cut(text, prefix+`"`)
	quoted, _, closed := strings.Cut(rest, `"`)
	return quoted, found && closed
}
