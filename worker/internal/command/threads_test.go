//go:build linux

package command

import (
	"bytes"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How many commands run at once is up to the machine: a run takes no thread, of which a Go program
// may have 10,000.
func TestRunsTakeNoThreads(t *testing.T) {
	r, _ := startRunner(t, &bytes.Buffer{}, time.Second)
	threads := func() int {
		list, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	const runs = 40
	before := threads()
	families := make([]*family, runs)
	var running sync.WaitGroup
	release := t.TempDir() + "/go"
	if err := syscall.Mkfifo(release, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range runs {
		families[i] = newFamily(t)
		running.Go(func() {
			exit, err := r.Run(t.Context(), join+`echo >&9; read -r _ <"`+release+`"`, families[i].env(), nil)
			if err != nil || exit.Code != 0 {
				t.Errorf("%+v, %v", exit, err)
			}
		})
	}
	for _, f := range families {
		f.ready(t)
	}
	if grown := threads() - before; grown > runs/2 {
		t.Errorf("%d commands take %d threads", runs, grown)
	}
	gate, err := os.OpenFile(release, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gate.Close() }()
	if _, err := gate.Write(bytes.Repeat([]byte("\n"), runs)); err != nil { // a line for each
		t.Fatal(err)
	}
	running.Wait()
}
