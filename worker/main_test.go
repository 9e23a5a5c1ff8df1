package worker

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if death := os.Getenv(deathVariable); death != "" {
		dieAt(death)
	}
	goleak.VerifyTestMain(m)
}
