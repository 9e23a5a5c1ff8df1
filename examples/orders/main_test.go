package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestMain makes this program each of the example's processes, for the test that starts them.
func TestMain(m *testing.M) {
	natstest.Serve()
	if len(os.Args) == 2 && roles[os.Args[1]] != nil {
		main()
	}
	goleak.VerifyTestMain(m)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	for want, args := range map[string][]string{
		"orders service, or orders billing": nil,
		"run.sh runs everything":            {"mail"},
		"no NATS server":                    {"service"},
		"set --mongo or MONGODB_URI":        {"billing", nc.ConnectedUrl()},
	} {
		var stderr bytes.Buffer
		url := ""
		if len(args) > 1 {
			args, url = args[:1], args[1]
		}
		getenv := func(name string) string { return map[string]string{"NATS_URL": url}[name] }
		if status := exec(t.Context(), args, getenv, &stderr); status != 2 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: exit status %d, want 2 and %q:\n%s", args, status, want, &stderr)
		}
	}
}
