package main

import (
	"net/http"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/internal/testing/mongotest"
)

// One command runs it all, and Ctrl-C ends it all.
func TestRunScript(t *testing.T) {
	t.Parallel()
	db := mongotest.Database(t)
	dir := t.TempDir()
	c := &crew{t: t, boxes: []string{filepath.Join(dir, "data", "mails")}}
	address := freeAddress(t)
	c.url = "http://" + address
	alive, held, err := os.Pipe() // every process has the writing end
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = alive.Close() }()
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := osexec.Command("./run.sh")
	cmd.Env = append(os.Environ(), "MONGODB_URI="+within(mongotest.URI(t), db.Name()), "LISTEN="+address,
		"ORDERS_DATA="+filepath.Join(dir, "data"), "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = said, said, []*os.File{held}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = held.Close(), said.Close()
	defer func() {
		if t.Failed() {
			text, _ := os.ReadFile(said.Name())
			t.Logf("it said:\n%s", text)
		}
	}()

	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	c.await("an order", func() bool {
		return c.request(t.Context(), client, "POST", "/orders", `{"id":"1","customer":"ada","cents":500}`) == nil
	})
	c.await("a mail", func() bool { return len(c.letters()[letter{invoiceIssued, "1"}]) == 1 })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // by its status
	if status := cmd.ProcessState.ExitCode(); status != 130 {
		t.Errorf("exit status %d, want 130", status)
	}
	if err := alive.SetReadDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if _, err := alive.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) { // it ends when the last process has
		t.Errorf("a process lives on: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "tmp.*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	text, err := os.ReadFile(said.Name())
	if out := string(text); err != nil || !strings.Contains(out, `curl -d '{"id":"1",`) || strings.Count(out, "msg=drained") != 2 ||
		strings.Contains(out, "level=ERROR") || strings.Contains(out, "Terminated") {
		t.Errorf("it tells nobody what to do, has not drained, or has failed (%v)", err)
	}
}
