package dashboard_test

import (
	"testing"

	"go.uber.org/goleak"
)

// withBrowser runs tests, and ends the browser that they share.
type withBrowser struct{ tests *testing.M }

func (w withBrowser) Run() int {
	defer closeBrowser()
	return w.tests.Run()
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(withBrowser{m}) }
