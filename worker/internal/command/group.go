//go:build linux

package command

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup is for commands. Their shell dies with the thread that started it (Guard.start), should
// the guard be dead as well.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// ownSession is for the guard: what the terminal sends to this process is not for it.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// endGroup asks the processes of a group to end. It does not matter here, as below, whether
// there are any.
func endGroup(group int) { _ = syscall.Kill(-group, syscall.SIGTERM) }

func killGroup(group int) { _ = syscall.Kill(-group, syscall.SIGKILL) }

// awaitExit returns when the process has ended, and leaves it to be waited for. It takes no thread.
func awaitExit(pid int) {
	if fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK); err == nil {
		f := os.NewFile(uintptr(fd), "pidfd")
		defer func() { _ = f.Close() }()
		conn, err := f.SyscallConn()
		if err == nil && conn.Read(func(uintptr) bool { return hasExited(pid) }) == nil {
			return
		}
	}
	awaitExitBySignal(pid)
}

// awaitExitBySignal is for kernels without pidfds (before 5.3), and where they are forbidden: each
// end of a child wakes all who wait.
func awaitExitBySignal(pid int) {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGCHLD)
	defer signal.Stop(ends)
	for !hasExited(pid) {
		<-ends
	}
}

// hasExited reports whether the process has ended, and leaves it to be waited for.
func hasExited(pid int) bool {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) {
			return err != nil || info.Signo != 0 // 0: it lives
		}
	}
}
