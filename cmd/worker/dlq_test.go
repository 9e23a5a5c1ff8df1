package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A redrive that is killed again and again, later each time, and repeated runs each event once, the
// edited one as it was edited.
func TestRedriveThatIsKilledAndRepeatedRunsEachEventOnce(t *testing.T) {
	t.Parallel()
	const events = 40
	h := newHouse(t)
	h.start("serve")
	var lines strings.Builder
	var want []string
	for i := range events {
		fmt.Fprintf(&lines, `{"id":"%d"}`+"\n", i+1)
		want = append(want, strconv.Itoa(i+1))
	}
	h.publish("t", strings.TrimSpace(lines.String()))
	h.start(quick(`exit 65`, "--until-empty")...).exits(4)
	if err := os.WriteFile(h.path("data.json"), []byte(`{"fixed":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	h.start("dlq", "edit", "g", "1", "--data", "data.json").exits(0)
	handling := h.start(quick(`cat >"data-$CE_ID"; echo $CE_ID >>effects`)...)
	killed := 0
	for delay, over := 200*time.Millisecond, false; !over; delay = delay * 5 / 4 {
		redrive := h.start("dlq", "redrive", "g", "--topic", ">", "--rps", "20", "--yes")
		select {
		case <-redrive.ended:
			redrive.exits(0)
			over = true
		case <-time.After(delay):
			redrive.kill()
			killed++
		}
	}
	handling.signal(os.Interrupt)
	handling.exits(0)
	h.start(quick(`cat >"data-$CE_ID"; echo $CE_ID >>effects`, "--until-empty")...).exits(0)
	data, err := os.ReadFile(h.path("effects"))
	if err != nil {
		t.Fatal(err)
	}
	effects := strings.Fields(string(data))
	slices.Sort(effects)
	slices.Sort(want)
	if killed == 0 || !slices.Equal(effects, want) {
		t.Errorf("after %d kills: effects %q; want %q", killed, effects, want)
	}
	if got := h.wait("data-1"); got != `{"fixed":true}` {
		t.Errorf("the edited event ran with %s", got)
	}
}
