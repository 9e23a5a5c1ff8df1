package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/onceish/onceish/internal/commandline"
)

// outputFlags are the flags of commands that have results: data goes to standard output, what is only told to standard error.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "output", Aliases: []string{"o"}, Value: "text", Validator: commandline.OneOf("text", "json"),
			Usage: "text for people, or json for programs, on standard output",
		},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, HideDefault: true, Usage: "tell only of errors"},
	}
}

func wantsJSON(cmd *cli.Command) bool { return cmd.String("output") == "json" }

// printJSON writes one object, on a line of its own.
func printJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// terminal tells whether people watch, and lines may be written over.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
