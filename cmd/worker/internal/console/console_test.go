package console

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
		o := Options{Output: &lines, Command: "demo", Total: 10_000, Bar: "effects", Done: "events have their effect"}
		s := New(o)
		o.Output, o.Live = &terminal, true
		live := New(o)
		for i := range 25 {
			time.Sleep(time.Second)
			s.ShowProgress(1000 + i)
			live.ShowProgress(1000 + i)
		}
		s.PrintLine("killed")
		time.Sleep(progressEvery - 1)
		s.ShowProgress(5000)
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
