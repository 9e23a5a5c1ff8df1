package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/schema"
	"github.com/onceish/onceish/worker/view"
)

// listedSubject is a subject to programs.
type listedSubject struct {
	schema.Subject

	Versions      int         `json:"versions"`
	Compatibility schema.Mode `json:"compatibility"`
	Added         string      `json:"added"`
}

func listSchemas(ctx context.Context, cmd *cli.Command, stdout io.Writer, s schema.Store) error {
	subjects, err := s.Subjects(ctx)
	if err != nil {
		return err
	}
	list := make([]listedSubject, 0, len(subjects))
	for _, subject := range subjects {
		versions, err := s.Versions(ctx, subject, 0)
		if err != nil {
			return err
		}
		if n := len(versions); n > 0 {
			newest := versions[n-1]
			list = append(list, listedSubject{subject, n, newest.Mode, view.FormatTime(newest.Added)})
		}
	}
	if wantsJSON(cmd) {
		return printJSON(stdout, map[string]any{"subjects": list})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(stdout, "no schemas")
		return err
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "TOPIC\tTYPE\tVERSIONS\tCOMPATIBILITY\tADDED") // Flush reports what fails
	for _, l := range list {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", visibleText(l.Topic), visibleText(l.Type), l.Versions, l.Compatibility, l.Added)
	}
	return t.Flush()
}

func showSchema(ctx context.Context, cmd *cli.Command, stdout io.Writer, s schema.Store, of schema.Subject) error {
	versions, err := s.Versions(ctx, of, 0)
	if err != nil {
		return err
	}
	number := cmd.Int("number")
	if number == 0 {
		number = max(1, len(versions))
	}
	if number > len(versions) {
		return fmt.Errorf("%w: version %d of %s: there are %d; see worker schema list", schema.ErrNoSchema, number, of, len(versions))
	}
	v := versions[number-1]
	if wantsJSON(cmd) {
		return printJSON(stdout, v)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, v.Schema, "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, text.String())
	return err
}
