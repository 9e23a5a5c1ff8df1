package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/onceish/onceish/internal/commandline"
)

// outputFlags are the flags of commands that have results: data goes to standard output, what is
// only told to standard error.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "output", Aliases: []string{"o"}, Value: "text", Validator: commandline.OneOf("text", "json"),
			Usage: "text for people, or json for programs, on standard output",
		},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, HideDefault: true, Usage: "print errors only"},
	}
}

func wantsJSON(cmd *cli.Command) bool { return cmd.String("output") == "json" }

// printJSON writes one object, on a line of its own. What a terminal would obey is escaped,
// wherever it is written to: outside of strings JSON has none.
func printJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return printLine(w, string(b))
}

// printLine writes JSON as printJSON does.
func printLine(w io.Writer, text string) error {
	var line strings.Builder
	for _, r := range text {
		if isTerminalControl(r) {
			fmt.Fprintf(&line, `\u%04x`, r)
		} else {
			line.WriteRune(r)
		}
	}
	_, err := fmt.Fprintln(w, line.String())
	return err
}

// isTerminalControl reports whether a character moves, colours or turns round what a
// terminal shows.
func isTerminalControl(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// visibleText is text of others, on one line and without what a terminal would obey.
func visibleText(text string) string {
	return strings.Map(func(r rune) rune {
		if isTerminalControl(r) {
			return '\ufffd'
		}
		return r
	}, text)
}

// isTerminal reports whether people watch, and lines may be written over.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
