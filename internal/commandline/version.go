package commandline

import "runtime/debug"

// Version of the program, as the go command stamped it; "unknown" if it did not.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
