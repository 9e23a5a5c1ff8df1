package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onceish/onceish/worker/handlers"
)

func TestCommandsAreThoseThatTheHandlerTakes(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"true", "a\x00", strings.Repeat("x", maxCommandBytes), strings.Repeat("x", maxCommandBytes+1)} {
		_, err := handlers.NewExec("g", line, &handlers.ExecOptions{Guard: []string{"/no/such/guard"}})
		refused := !strings.Contains(fmt.Sprint(err), "guard")
		if ours := validCommand(line); (ours != nil) != refused {
			t.Errorf("%.10q, %d bytes: %v, and the handler says %v", line, len(line), ours, err)
		}
	}
}
