package commandline

import (
	"cmp"
	"runtime/debug"
)

// version is set by the linker where the go command knows none:
// -X github.com/onceish/onceish/internal/commandline.version=v1.2.3.
var version string

// Version of the program: the linker's, or what the go command stamped; "unknown" if neither did.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		return cmp.Or(info.Main.Version, "unknown")
	}
	return cmp.Or(version, "unknown")
}
