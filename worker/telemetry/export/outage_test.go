package export

import (
	"errors"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
)

// What is logged of an error says what went wrong, without URLs and answers of receivers.
func TestErrorsAreLoggedWithoutURLsAndAnswers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`failed to send to https://h/c4n4ry?c4n4ry: 403 Forbidden (body: c4n4ry` + "\n" + `c4n4ry)`: "failed to send to the endpoint 403 Forbidden",
		`Post "HTTP://u:c4n4ry@h/c4n4ry": dial tcp 127.0.0.1:1: connect: connection refused`:        `Post "the endpoint dial tcp 127.0.0.1:1: connect: connection refused`,
		"max retry time elapsed: retry-able request failure: body: c4n4ry":                          "max retry time elapsed: retry-able request failure",
		strings.Repeat("é", maxErrorText):                                                           strings.Repeat("é", maxErrorText/2) + "…",
		"x" + strings.Repeat("é", maxErrorText):                                                     "x" + strings.Repeat("é", maxErrorText/2-1) + "…",
	} {
		if got := loggable(errors.New(text)).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What the SDK reports elsewhere than to its caller goes to the log, as everything else.
func TestErrorsOfTheSDKAreLogged(t *testing.T) {
	text, log := newLog()
	LogErrors(log)
	t.Cleanup(func() { otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {})) })
	otel.Handle(errors.New("partial success: https://h/c4n4ry rejected 3 spans"))
	if got := text.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "rejected 3 spans") || strings.Contains(got, canary) {
		t.Errorf("logged: %s", got)
	}
}
