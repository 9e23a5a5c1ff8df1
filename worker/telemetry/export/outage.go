package export

import (
	"errors"
	"log/slog"
	"regexp"
	"strings"
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
		o.log.Warn(o.begun, "error", loggable(err))
	}
}

var (
	anyURL = regexp.MustCompile(`(?i)[a-z]+://\S+`)
	// anyBody is what a receiver has answered, at the end of an error of the SDK.
	anyBody = regexp.MustCompile(`(?s):? \(?body: .*`)
)

// maxErrorText bounds what is logged of an error, in bytes.
const maxErrorText = 300

// loggable is an error without the URLs in its text, which may hold a token, and without what a
// receiver has answered, which may repeat the headers that it was sent.
func loggable(err error) error {
	text := anyURL.ReplaceAllString(anyBody.ReplaceAllString(err.Error(), ""), "the endpoint")
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return errors.New(text)
}
