package deploy

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const dockerfile = "docker/Dockerfile"

// stages are those of the Dockerfile, by name, as BuildKit reads them.
func stages(t *testing.T, text string) map[string]instructions.Stage {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(text))
	must(t, err)
	list, _, err := instructions.Parse(parsed.AST, linter.New(&linter.Config{ReturnAsError: true}))
	must(t, err)
	found := make(map[string]instructions.Stage)
	for _, s := range list {
		found[s.Name] = s
	}
	return found
}

// command is the only instruction of its kind in a stage.
func command[T instructions.Command](t *testing.T, s instructions.Stage) T {
	t.Helper()
	var found []T
	for _, c := range s.Commands {
		if c, ok := c.(T); ok {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Fatalf("stage %s has %d %T", s.Name, len(found), *new(T))
	}
	return found[0]
}

// Both images run as a user by number, ask for their health without a shell, and end by SIGTERM.
func TestImagesRunTheWorkerAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, s := range stages(t, read(t, dockerfile)) {
		if name == "build" {
			continue
		}
		user := command[*instructions.UserCommand](t, s).User
		entry := command[*instructions.EntrypointCommand](t, s)
		health := command[*instructions.HealthCheckCommand](t, s).Health
		if user != "65532:65532" || entry.PrependShell || !slices.Equal(entry.CmdLine, []string{"/usr/local/bin/worker"}) {
			t.Errorf("%s: user %s, entry point %q", name, user, entry.CmdLine)
		}
		if !slices.Equal(health.Test, []string{"CMD", "/usr/local/bin/worker", "health"}) || health.Timeout <= 3e9 {
			t.Errorf("%s: health check %q within %v", name, health.Test, health.Timeout)
		}
		if signal := command[*instructions.StopSignalCommand](t, s).Signal; signal != "SIGTERM" {
			t.Errorf("%s ends by %s", name, signal)
		}
	}
	if got := stages(t, read(t, dockerfile)); len(got) != 3 || got["worker"].BaseName != "gcr.io/distroless/static-debian12:nonroot" {
		t.Errorf("stages %v", got)
	}
}

func TestDockerfileIsParsedStrictly(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"FROM a\nHEALTHCHEK NONE", "FROM a\nCOPY x", "FROM a\nHEALTHCHECK --interval=often CMD x"} {
		parsed, err := parser.Parse(strings.NewReader(broken))
		if err == nil {
			_, _, err = instructions.Parse(parsed.AST, nil)
		}
		if err == nil {
			t.Errorf("nothing is wrong with %q", broken)
		}
	}
}

// context copies what Docker would send: the files of the repository without those that
// .dockerignore names.
func context(t *testing.T) (dir string, names []string) {
	t.Helper()
	ignored, err := ignorefile.ReadAll(strings.NewReader(read(t, "../.dockerignore")))
	must(t, err)
	matcher, err := patternmatcher.New(ignored)
	must(t, err)
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = ".."
	out, err := list.Output()
	must(t, err)
	dir = t.TempDir()
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		skip, err := matcher.MatchesOrParentMatches(name)
		must(t, err)
		if skip {
			continue
		}
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			continue // it was deleted, and git knows it still
		}
		names = append(names, name)
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	return dir, names
}

// build runs the build of the Dockerfile, in its context.
func build(t *testing.T, version string) (program string) {
	t.Helper()
	dir, names := context(t)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "docs/") || strings.HasPrefix(name, "deploy/") {
			t.Errorf("%s is sent to Docker", name)
		}
	}
	var line string
	for _, c := range stages(t, read(t, dockerfile))["build"].Commands {
		if run, ok := c.(*instructions.RunCommand); ok {
			line = run.CmdLine[0]
		}
	}
	program = filepath.Join(t.TempDir(), "worker")
	line = strings.ReplaceAll(line, "/out/worker", program)
	building := exec.CommandContext(t.Context(), "/bin/sh", "-euc", line)
	building.Dir = dir
	building.Env = append(os.Environ(), "VERSION="+version, "TARGETOS=linux", "TARGETARCH=", "GOFLAGS=")
	if out, err := building.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return program
}

// The image's program needs nothing but itself: it runs in an empty file system, knows its version,
// and answers the health check.
func TestImageHasAllThatTheWorkerNeeds(t *testing.T) {
	t.Parallel()
	program := build(t, "v1.2.3")
	f, err := elf.Open(program)
	must(t, err)
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program is linked dynamically: %v", p.Type)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }))
	t.Cleanup(s.Close)
	for want, args := range map[string][]string{
		"worker v1.2.3, go": {"version"},
		"ok\n":              {"health", s.URL + "/livez"},
	} {
		if out, err := runAlone(t, program, args...); err != nil || !strings.HasPrefix(out, want) {
			t.Errorf("worker %q: %v, %q, want %q", args, err, out, want)
		}
	}
}

// runAlone runs a program in a file system that has nothing else, where this user may do so.
func runAlone(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = []string{}
	if os.Getuid() == 0 {
		root := t.TempDir()
		must(t, os.Chmod(root, fs.ModePerm))
		must(t, os.Link(program, filepath.Join(root, "worker")))
		must(t, os.Chmod(program, 0o755))
		cmd.Path, cmd.Dir = "/worker", "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// A release has the program of each platform, with what belongs to it, and its version.
func TestReleaseHasTheWorkerAndItsUnit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	building := exec.CommandContext(t.Context(), "../scripts/release", "v1.2.3", dir, runtime.GOOS+"/"+runtime.GOARCH)
	if out, err := building.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	name := "onceish-v1.2.3-" + runtime.GOOS + "-" + runtime.GOARCH
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", dir, "-xzf", filepath.Join(dir, name+".tar.gz")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, file := range []string{"worker", "onceish.service", "LICENSE", "README.md", "CHANGELOG.md"} {
		if _, err := os.Stat(filepath.Join(dir, name, file)); err != nil {
			t.Error(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, name, "worker"), "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "worker v1.2.3, go") {
		t.Errorf("%q, %v", out, err)
	}
}
