package natsserver

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// Texts of the server, before a quoted subject.
const (
	refusedSubscription = "Permissions Violation for Subscription to "
	refusedPublication  = "Permissions Violation for Publish to "
)

// PermissionError returns which permission this user lacks, if that is why a request to one of the
// subjects was not answered: the server refuses such a request with an error of the connection, and
// never answers it. A subject that ends with a dot stands for all below it. Nil: there is no
// such error.
func PermissionError(nc *nats.Conn, subjects ...string) error {
	last := nc.LastError()
	if !errors.Is(last, nats.ErrPermissionViolation) {
		return nil
	}
	inbox := strings.TrimSuffix(cmp.Or(nc.Opts.InboxPrefix, nats.InboxPrefix), ".") + "."
	if subject, ok := quotedAfter(last.Error(), refusedSubscription); ok && strings.HasPrefix(subject, inbox) {
		return fmt.Errorf("this user may not subscribe to %q: allow it, for answers arrive there: %w", subject, last)
	}
	subject, ok := quotedAfter(last.Error(), refusedPublication)
	asked := slices.ContainsFunc(subjects, func(s string) bool {
		return s == subject || strings.HasSuffix(s, ".") && strings.HasPrefix(subject, s)
	})
	if !ok || !asked {
		return nil
	}
	return fmt.Errorf("this user may not publish to %q: allow it: %w", subject, last)
}

func quotedAfter(text, prefix string) (string, bool) {
	_, rest, found := strings.Cut(text, prefix+`"`)
	quoted, _, closed := strings.Cut(rest, `"`)
	return quoted, found && closed
}
