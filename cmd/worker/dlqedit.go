package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/internal/cloudevents"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

// letterEdit is an edit of one letter.
type letterEdit struct {
	cmd            *cli.Command
	stdin          io.Reader
	stdout, stderr io.Writer
	headers        bus.Headers // to set
}

func editLetterCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "edit", Usage: "change the data or the headers of the event of a dead letter", ArgsUsage: "GROUP ID",
		Description: `ID is that of the event, or of the letter. Without --data and --set-header it opens the data in $VISUAL or $EDITOR; when that fails, or nothing is
changed, nothing is stored. The edit is a letter of its own, which supersedes the other one: redrive handles the edited event, under the same id, and deletes both.
To take an edit back, drop its letter.

Examples:
   worker dlq edit billing 17
   worker dlq show billing 17 -o json | jq -r .data | sed 's/XX/DE/' | worker dlq edit billing 17 --data -
   worker dlq edit billing 17 --set-header Tenant=acme`,
		Flags: append([]cli.Flag{
			deadLetterFlag(),
			&cli.StringFlag{Name: "data", Usage: "take the new data from `FILE`, or - for standard input", HideDefault: true},
			&cli.StringSliceFlag{Name: "set-header", Usage: "set a header, as `NAME=VALUE`; empty: remove it; may be given several times", HideDefault: true},
			&cli.BoolFlag{Name: "force", Usage: "take data that is no JSON though the event's content type says so", HideDefault: true},
		}, append(outputFlags(), config.Flags(dlqSections...)...)...),
		DisableSliceFlagSeparator: true, // values may have commas
		OnUsageError:              commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			headers, err := headersToSet(cmd)
			if err != nil {
				return err
			}
			e := &letterEdit{cmd: cmd, stdin: stdin, stdout: stdout, stderr: stderr, headers: headers}
			return withLetters(ctx, cmd, stderr, 2, func(_ *worker.Connections, t *deadletter.Topic) error { return e.run(ctx, t) })
		},
	}
}

func headersToSet(cmd *cli.Command) (bus.Headers, error) {
	headers := make(bus.Headers)
	for _, h := range cmd.StringSlice("set-header") {
		name, value, ok := strings.Cut(h, "=")
		if !ok || name == "" {
			return nil, commandline.Usagef(cmd, "--set-header %q: it must be NAME=VALUE", h)
		}
		if headers[name] = nil; value != "" {
			headers[name] = []string{value}
		}
	}
	return headers, nil
}

func (e *letterEdit) run(ctx context.Context, t *deadletter.Topic) error {
	l, err := findLetter(ctx, e.cmd, t)
	if err != nil {
		return err
	}
	data, keep, err := e.readData(ctx, &l.Event)
	if err != nil {
		return err
	}
	if err := l.CheckData(data); err != nil && !e.cmd.Bool("force") {
		return keep(fmt.Errorf("%w: nothing was changed; correct it, or add --force", err))
	}
	id, err := t.Edit(ctx, *l, deadletter.Edit{Data: data, Headers: e.headers})
	if err != nil {
		return keep(err)
	}
	_ = keep(nil)
	return e.report(l, id)
}

// readData returns the new data. keep is called once it is stored, with nil, or with why it is not:
// what was written in an editor is kept for the next try then.
func (e *letterEdit) readData(ctx context.Context, event *bus.Event) (data []byte, keep func(error) error, err error) {
	keep = func(err error) error { return err }
	switch {
	case e.cmd.IsSet("data"):
		in, closeInput, err := openInput(e.cmd, e.cmd.String("data"))
		if err != nil {
			return nil, nil, fmt.Errorf("--data takes a file, or - for standard input: %w", err)
		}
		defer closeInput()
		data, err = io.ReadAll(in)
		return data, keep, err
	case len(e.headers) > 0:
		return event.Data, keep, nil
	}
	return e.openEditor(ctx, event)
}

// openEditor has the data changed in the user's editor.
func (e *letterEdit) openEditor(ctx context.Context, event *bus.Event) (data []byte, keep func(error) error, err error) {
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		return nil, nil, errors.New("neither VISUAL nor EDITOR is set: set one of them, or give the new data by --data")
	}
	name, err := writePrivateFile(event)
	if err != nil {
		return nil, nil, err
	}
	run := osexec.CommandContext(ctx, "/bin/sh", "-c", editor+` "$1"`, "sh", name) //nolint:gosec // the user's own editor
	run.Stdin, run.Stdout, run.Stderr = e.stdin, e.stderr, e.stderr
	if isTerminal(e.stdout) {
		run.Stdout = e.stdout
	}
	if err := run.Run(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("the editor %q failed, nothing was changed: %w", editor, err), os.Remove(name))
	}
	keep = func(err error) error {
		if err == nil {
			return os.Remove(name)
		}
		return fmt.Errorf("%w; the edited data is kept in %s", err, name)
	}
	data, err = os.ReadFile(name) //nolint:gosec // it was made here
	return data, keep, err
}

// writePrivateFile writes the data of an event to a file that nobody else may read.
func writePrivateFile(event *bus.Event) (name string, err error) {
	pattern := "letter-*"
	if cloudevents.IsJSON(event.ContentType) {
		pattern += ".json"
	}
	f, err := os.CreateTemp("", pattern)
	if err != nil {
		return "", err
	}
	_, err = f.Write(event.Data)
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), err
}

func (e *letterEdit) report(l *deadletter.Letter, id string) error {
	changed, supersedes := id != l.ID, ""
	if changed {
		supersedes = l.ID
	}
	if wantsJSON(e.cmd) {
		return printJSON(e.stdout, struct {
			Topic      string `json:"topic"`
			Letter     string `json:"letter"`
			Changed    bool   `json:"changed"`
			Supersedes string `json:"supersedes,omitempty"`
		}{letterTopic(e.cmd), id, changed, supersedes})
	}
	if e.cmd.Bool("quiet") {
		return nil
	}
	text := "nothing was changed"
	if changed {
		text = fmt.Sprintf("letter %s supersedes %s; redrive it with: worker dlq redrive %s --id %s", visibleText(id), visibleText(l.ID), visibleText(e.cmd.Args().First()), visibleText(id))
		if topic := e.cmd.String("dead-letter"); topic != "" {
			text += " --dead-letter " + visibleText(topic)
		}
	}
	_, err := fmt.Fprintln(e.stdout, text)
	return err
}
