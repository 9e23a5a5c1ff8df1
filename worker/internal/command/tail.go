//go:build linux

package command

import "strings"

// tailBytes is how much of a command's standard error is kept.
const tailBytes = 2 << 10

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	kept []byte
	cut  bool
}

// Write never fails.
func (t *tailBuffer) Write(p []byte) (int, error) {
	if len(p) > tailBytes {
		t.kept, t.cut = append(t.kept[:0], p[len(p)-tailBytes:]...), true
		return len(p), nil
	}
	if over := len(t.kept) + len(p) - tailBytes; over > 0 {
		t.kept, t.cut = append(t.kept[:0], t.kept[over:]...), true
	}
	t.kept = append(t.kept, p...)
	return len(p), nil
}

// String is valid UTF-8 without white space around it, and begins with a whole line if
// there is one.
func (t *tailBuffer) String() string {
	s := string(t.kept)
	if t.cut {
		if _, rest, ok := strings.Cut(s, "\n"); ok && strings.TrimSpace(rest) != "" {
			s = rest
		}
	}
	return strings.TrimSpace(strings.ToValidUTF8(s, ""))
}
