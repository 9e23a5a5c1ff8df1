package acceptance

import (
	"flag"
	"log"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestMain is also the worker process, and a server: the tests start this binary again.
func TestMain(m *testing.M) {
	natstest.Serve()
	if script := os.Getenv(workerEnv); script != "" {
		work(script)
		return
	}
	if script := os.Getenv(drainerEnv); script != "" {
		drainRows(script)
		return
	}
	if script := os.Getenv(memberEnv); script != "" {
		beMember(script)
		return
	}
	// These tests wait for most of their time.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		log.Fatal(err)
	}
	goleak.VerifyTestMain(m)
}
