package nats

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(envMember); url != "" {
		os.Exit(runMember(url))
	}
	goleak.VerifyTestMain(m)
}
