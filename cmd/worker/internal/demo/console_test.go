package demo

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Where there is no bar, a line says now and then how far it is.
func TestProgressIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines, terminal bytes.Buffer
		s, live := newProgressConsole(&lines, false, 10_000), newProgressConsole(&terminal, true, 10_000)
		for i := range 25 {
			time.Sleep(time.Second)
			s.showProgress(1000 + i)
			live.showProgress(1000 + i)
		}
		s.printLine("killed")
		time.Sleep(progressEvery - 1)
		s.showProgress(5000)
		want := "demo: 1,009 of 10,000 events have their effect after 10s\n" +
			"demo: 1,019 of 10,000 events have their effect after 20s\ndemo: killed\n"
		if got := lines.String(); got != want {
			t.Errorf("said:\n%swant:\n%s", got, want)
		}
		if strings.Contains(terminal.String(), "demo:") {
			t.Errorf("lines beside the bar: %q", &terminal)
		}
	})
}
