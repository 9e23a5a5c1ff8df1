//go:build linux

package command

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// processOutput is the reading end of a pipe from a process. It ends with what is in the pipe when
// the process has ended: whoever else holds it open is not waited for.
type processOutput struct {
	r     *os.File
	ended bool
	left  int
}

// Read is for one goroutine.
func (o *processOutput) Read(p []byte) (int, error) {
	if !o.ended {
		n, err := o.r.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		o.ended, o.left = true, unreadBytes(o.r)
		_ = o.r.SetReadDeadline(time.Time{}) // pipes have deadlines
	}
	if o.left == 0 {
		return 0, io.EOF
	}
	n, err := o.r.Read(p[:min(len(p), o.left)])
	o.left -= n
	return n, err
}

// endReading is called once the process has ended.
func (o *processOutput) endReading() { _ = o.r.SetReadDeadline(time.Unix(1, 0)) }

// unreadBytes is how many bytes are in a pipe.
func unreadBytes(f *os.File) (n int) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = c.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) // FIONREAD by its other name
	if err != nil {
		return 0
	}
	return n
}
