package embedded

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock is held for as long as its file is open. The kernel opens it again when the process dies.
type lock struct{ file *os.File }

// tryLock returns nil if another process, or another Server of this one, holds the lock.
func tryLock(name string) (*lock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the user's own directory
	if err != nil {
		return nil, err
	}
	err = flock(f)
	if err == nil {
		return &lock{f}, nil
	}
	_ = f.Close() // nothing was written
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil //nolint:nilnil // no error, no lock
	}
	return nil, fmt.Errorf("lock %s: %w", name, err)
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (l *lock) release() error { return l.file.Close() }
