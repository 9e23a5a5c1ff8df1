package shell

import "strings"

// Quote returns a word that a shell takes for exactly s.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
