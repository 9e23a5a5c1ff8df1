package memory

import "strings"

// overlap reports whether there is a topic that both patterns match.
func overlap(a, b string) bool {
	for {
		x, xrest, xmore := strings.Cut(a, ".")
		y, yrest, ymore := strings.Cut(b, ".")
		switch {
		case x == ">" || y == ">":
			return true
		case x != y && x != "*" && y != "*":
			return false
		case !xmore || !ymore:
			return xmore == ymore
		}
		a, b = xrest, yrest
	}
}
