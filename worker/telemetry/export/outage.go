package export

import (
	"errors"
	"log/slog"
	"regexp"
	"sync/atomic"
)

// outageLog logs that something is not taken by its receiver, and that it is again, once each. SDKs
// would log each failure, elsewhere. It is safe for concurrent use.
type outageLog struct {
	log          *slog.Logger
	begun, ended string // the messages
	down         atomic.Bool
}

// note notes what became of an export.
func (o *outageLog) note(err error) {
	switch {
	case err == nil:
		if o.down.CompareAndSwap(true, false) {
			o.log.Info(o.ended)
		}
	case o.down.CompareAndSwap(false, true):
		o.log.Warn(o.begun, "error", withoutURL(err))
	}
}

var anyURL = regexp.MustCompile(`[a-z]+://\S+`)

// maxErrorText bounds what is logged of an error, which may have what a receiver answered.
const maxErrorText = 300

// withoutURL is an error without the URLs in its text, which may hold a token.
func withoutURL(err error) error {
	text := anyURL.ReplaceAllString(err.Error(), "the endpoint")
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "…"
	}
	return errors.New(text)
}
