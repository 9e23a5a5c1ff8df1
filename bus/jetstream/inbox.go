package jetstream

import (
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// maxRequested bounds what a Source asks for at once, so that its channel holds all that can come:
// nats.go drops what does not fit.
const (
	maxRequested = 4_096
	inboxSize    = 4 * maxRequested
)

// pullInbox is where the answers to pulls arrive: one subscription for all of them.
type pullInbox struct {
	prefix string // with its last dot
	sub    *nats.Subscription
}

// subscribeInbox subscribes an inbox in place of the one there was. That one stays until the next
// replacement: a pull may have been sent just before, and what nobody listens to any more the
// server drops without a word.
func (s *Source) subscribeInbox() error {
	prefix := s.b.nc.NewInbox() + "."
	sub, err := s.b.nc.ChanSubscribe(prefix+"*", s.incoming)
	if err != nil {
		return err
	}
	s.retiredInbox.Swap(s.inbox.Swap(&pullInbox{prefix: prefix, sub: sub})).close()
	return nil
}

func (i *pullInbox) close() {
	if i != nil {
		_ = i.sub.Unsubscribe() // It fails when it has ended already, also with the connection.
	}
}

// closeInboxes ends both inboxes. Repeated calls do nothing.
func (s *Source) closeInboxes() {
	s.inbox.Load().close()
	s.retiredInbox.Load().close()
}

// replySubject is where a pull is answered.
func (i *pullInbox) replySubject(number uint64) string {
	return i.prefix + strconv.FormatUint(number, 10)
}

// parsePullNumber reads the number of the pull that a status answers.
func (s *Source) parsePullNumber(subject string) (uint64, bool) {
	for _, i := range []*pullInbox{s.inbox.Load(), s.retiredInbox.Load()} {
		if i != nil && strings.HasPrefix(subject, i.prefix) {
			return parseNumber(subject[len(i.prefix):])
		}
	}
	return 0, false
}
