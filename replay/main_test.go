package replay_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/internal/testing/natstest"
)

func TestMain(m *testing.M) {
	natstest.Serve()
	goleak.VerifyTestMain(m)
}
