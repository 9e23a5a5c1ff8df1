package chaos

import (
	"fmt"
	"syscall"
	"time"
)

const (
	// leastFree is how many bytes must be left where journal, log and the server's data are. A
	// worker that cannot write to the journal has effects that nobody knows of.
	leastFree = 32 << 20
	// diskInterval is how often that is looked at.
	diskInterval = time.Second
)

// diskWatch looks now and then whether the journal can still be written.
type diskWatch struct {
	dir   string
	least uint64
	next  time.Time
}

// check is checkNow, if it is time.
func (d *diskWatch) check() error {
	if time.Now().Before(d.next) {
		return nil
	}
	d.next = time.Now().Add(diskInterval)
	return d.checkNow()
}

// checkNow returns an error if too little room is left. Nothing can be said about the workers then.
func (d *diskWatch) checkNow() error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &s); err != nil {
		return fmt.Errorf("look how much room is left in %s: %w", d.dir, err)
	}
	if free := uint64(s.Bavail) * uint64(s.Bsize); free < d.least { //nolint:unconvert // of other types on other systems
		return fmt.Errorf("%d MiB are left on the disk of %s, where the journal is: it may be incomplete, and nothing can be said of the workers; make room, or set TMPDIR to another disk",
			free>>20, d.dir)
	}
	return nil
}
