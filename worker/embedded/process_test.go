package embedded

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// process serves a directory until it is killed.
type process struct{ cmd *exec.Cmd }

// serve starts one, the files of which may have so many bytes each, if that is said.
func serve(t *testing.T, dir string, fileBytes ...int) *process {
	t.Helper()
	p, said := begin(t, dir, fileBytes...)
	if said != "true" {
		t.Fatalf("it does not serve: %s", said)
	}
	return p
}

// begin starts a process, and returns what it says first.
func begin(t *testing.T, dir string, fileBytes ...int) (*process, string) {
	t.Helper()
	p := &process{exec.Command(os.Args[0], "serve", dir)}
	for _, n := range fileBytes {
		p.cmd.Args = append(p.cmd.Args, strconv.Itoa(n))
	}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	said, _ := bufio.NewReader(out).ReadString('\n') // no more than it said
	return p, strings.TrimSuffix(said, "\n")
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // It may have ended by itself.
	_ = p.cmd.Wait()         // It was killed, and says so.
}

// limitFiles makes writes beyond a size fail, as on a full disk.
func limitFiles(arguments []string) {
	if len(arguments) == 0 {
		return
	}
	n, err := strconv.ParseUint(arguments[0], 10, 64)
	if err == nil {
		err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
