//go:build !linux

package procstat

// Read returns ErrUnavailable.
func Read(int) (Usage, error) { return Usage{}, ErrUnavailable }
