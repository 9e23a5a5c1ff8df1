package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Mode is which versions a new one must be compatible with, and how.
type Mode string

// The modes. Backward, Forward and Full compare with the version before, the transitive ones with
// all before.
const (
	// None compares nothing.
	None Mode = "none"
	// Backward: the new version reads what the old one writes. Consumers are deployed first.
	Backward Mode = "backward"
	// Forward: the old version reads what the new one writes. Producers are deployed first.
	Forward Mode = "forward"
	// Full is Backward and Forward: the order does not matter.
	Full Mode = "full"
	// BackwardTransitive is Backward with all versions.
	BackwardTransitive Mode = "backward-transitive"
	// ForwardTransitive is Forward with all versions.
	ForwardTransitive Mode = "forward-transitive"
	// FullTransitive is Full with all versions.
	FullTransitive Mode = "full-transitive"
)

// Modes are all modes.
func Modes() []Mode {
	return []Mode{None, Backward, Forward, Full, BackwardTransitive, ForwardTransitive, FullTransitive}
}

// Validate returns why a text is no mode.
func (m Mode) Validate() error {
	if slices.Contains(Modes(), m) {
		return nil
	}
	names := make([]string, 0, len(Modes()))
	for _, mode := range Modes() {
		names = append(names, string(mode))
	}
	return fmt.Errorf("%w: mode %.64q: it must be one of %s", ErrInvalid, string(m), strings.Join(names, ", "))
}

func (m Mode) backward() bool { return strings.HasPrefix(string(m), "backward") || m.full() }
func (m Mode) forward() bool  { return strings.HasPrefix(string(m), "forward") || m.full() }
func (m Mode) full() bool     { return strings.HasPrefix(string(m), "full") }

// compared are the versions that a new one is compared with, the newest first.
func (m Mode) compared(earlier []Version) []Version {
	out := slices.Clone(earlier)
	slices.Reverse(out)
	if strings.HasSuffix(string(m), "-transitive") {
		return out
	}
	return out[:min(1, len(out))]
}
