package onceish_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// link is a link of a document to a file of the repository, a heading, or both.
var link = regexp.MustCompile(`\]\(([^()\s:#]*)(?:#([^()\s]+))?\)`)

// What a document links to is there, headings included.
func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %q, %v", pattern, names, err)
		}
		for _, name := range names {
			for _, l := range link.FindAllStringSubmatch(prose(t, name), -1) {
				target := name
				if l[1] != "" {
					target = filepath.Join(filepath.Dir(name), l[1])
				}
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s links to %s: %v", name, l[1], err)
				} else if l[2] != "" && !anchors(prose(t, target))[l[2]] {
					t.Errorf("%s links to %s#%s: it has no such heading", name, l[1], l[2])
				}
			}
		}
	}
}

func TestLinkRuleBites(t *testing.T) {
	found := anchors("# Run it again\n## A `store`, a disk…\n## When …\n## When …\n")
	for _, want := range []string{"run-it-again", "a-store-a-disk", "when-", "when--1"} {
		if !found[want] {
			t.Errorf("no anchor %q in %v", want, found)
		}
	}
	if l := link.FindStringSubmatch("see [it](a.md#b-c)."); !slices.Equal(l, []string{"](a.md#b-c)", "a.md", "b-c"}) {
		t.Errorf("the link is %q", l)
	}
}

// prose is a document without its blocks of code.
func prose(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile("(?m)^```(?s:.*?)\n```$").ReplaceAllString(string(text), "")
}

// anchors are those that GitHub gives the headings of a document.
func anchors(text string) map[string]bool {
	found := make(map[string]bool)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-")
		name = regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(name, "")
		if found[name] {
			name += "-1"
		}
		found[name] = true
	}
	return found
}
