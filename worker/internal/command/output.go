//go:build linux

package command

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// output is the reading end of a pipe from a process. It ends with what is in the pipe when the
// process has ended: whoever else holds it open is not waited for.
type output struct {
	r     *os.File
	ended bool
	left  int
}

// Read is for one goroutine.
func (o *output) Read(p []byte) (int, error) {
	if !o.ended {
		n, err := o.r.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		o.ended, o.left = true, waiting(o.r)
		_ = o.r.SetReadDeadline(time.Time{}) // pipes have deadlines
	}
	if o.left == 0 {
		return 0, io.EOF
	}
	n, err := o.r.Read(p[:min(len(p), o.left)])
	o.left -= n
	return n, err
}

// end is called once the process has ended.
func (o *output) end() { _ = o.r.SetReadDeadline(time.Unix(1, 0)) }

// waiting is how many bytes are in a pipe.
func waiting(f *os.File) (n int) {
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
