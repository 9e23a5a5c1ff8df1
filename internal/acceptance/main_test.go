package acceptance

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the worker process: the tests start this binary again.
func TestMain(m *testing.M) {
	if script := os.Getenv(workerEnv); script != "" {
		work(script)
		return
	}
	goleak.VerifyTestMain(m)
}
