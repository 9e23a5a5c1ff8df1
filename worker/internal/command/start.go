//go:build linux

package command

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
)

// waitForGuard is what the shell of a run does first: it waits for a line on the gate, its file 3,
// and then becomes the shell that runs the command line. The end of the gate instead of a line
// means that the process that started it has died, or that the guard has: then it ends, and nothing
// of the command has run.
const waitForGuard = `read -r ONCEISH_GATE <&3 || exit 125; exec 3<&-; exec ` + Shell + ` -c "$1"`

// shellCommand is the command of a run, for startGuarded.
func shellCommand(line string, env []string, run *guardedRun) *exec.Cmd {
	cmd := exec.Command(Shell, "-c", waitForGuard, Shell, line) //nolint:gosec,noctx // the operator's own command; how it ends is what this package is about
	cmd.Env = slices.Concat(env, []string{Mark + "=" + run.mark})
	cmd.SysProcAttr = ownGroup()
	return cmd
}

// startGuarded starts the command of a run. Its line begins only once the guard knows the process
// group, so that there is no moment at which this process can die and leave the command behind.
// After an error nothing of the command has run.
func startGuarded(cmd *exec.Cmd, run *guardedRun) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", Shell, err)
	}
	defer func() { _ = writer.Close() }() // without a line before, the shell ends
	cmd.ExtraFiles = []*os.File{reader}
	err = run.guard.startOnThread(cmd)
	_ = reader.Close() // the shell's now
	if err != nil {
		return fmt.Errorf("start %s: %w", Shell, err)
	}
	if err := run.registerGroup(cmd.Process.Pid); err != nil {
		killGroup(cmd.Process.Pid)
		_ = run.guard.waitFor(cmd) // it was killed
		return err
	}
	_, _ = writer.WriteString("\n") // a shell that was killed meanwhile is found by who waits for it
	return nil
}
