package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

// letterJSON is a dead letter for programs: times are RFC 3339.
type letterJSON struct {
	Letter   string `json:"letter"`
	Position string `json:"position"`
	Group    string `json:"group"`
	ID       string `json:"id"`
	Topic    string `json:"topic"`
	Key      string `json:"key,omitempty"`
	Type     string `json:"type,omitempty"`
	Source   string `json:"source,omitempty"`
	Time     string `json:"time,omitempty"`
	At       string `json:"event_position"`
	Reason   string `json:"reason"`
	Error    string `json:"error,omitempty"`
	Attempts int    `json:"attempts"`
	Crashes  int    `json:"crashes"`
	Claimed  string `json:"claimed"`
	Died     string `json:"died"`
	Edited   string `json:"edited,omitempty"` // the letter that this one is an edit of

	SupersededBy string `json:"superseded_by,omitempty"` // the newest edit of this one
}

func newLetterJSON(l *deadletter.Letter) letterJSON {
	e := &l.Event
	return letterJSON{
		Letter: l.ID, Position: l.Position.String(), Group: l.Group, ID: e.ID, Topic: e.Topic, Key: e.Key, Type: e.Type, Source: e.Source,
		Time: formatTime(e.Time), At: l.At.String(), Reason: l.Reason, Error: l.Error, Attempts: l.Attempts, Crashes: l.Crashes,
		Claimed: formatTime(l.Claimed), Died: formatTime(l.Died), Edited: l.Edited, SupersededBy: l.SupersededBy,
	}
}

func newLettersJSON(letters []deadletter.Letter) []letterJSON {
	out := make([]letterJSON, len(letters))
	for i := range letters {
		out[i] = newLetterJSON(&letters[i])
	}
	return out
}

// wholeLetterJSON is a dead letter with what is in it.
type wholeLetterJSON struct {
	letterJSON

	History     []attemptJSON       `json:"history,omitempty"`
	Stack       string              `json:"stack,omitempty"`
	ContentType string              `json:"content_type,omitempty"`
	Headers     map[string][]string `json:"headers,omitempty"`
	Data        *string             `json:"data,omitempty"`
	DataBase64  []byte              `json:"data_base64,omitempty"`
}

func newWholeLetterJSON(l *deadletter.Letter) wholeLetterJSON {
	e := &l.Event
	out := wholeLetterJSON{letterJSON: newLetterJSON(l), History: newHistoryJSON(l.History), Stack: l.Stack, ContentType: e.ContentType, Headers: e.Headers}
	if utf8.Valid(e.Data) {
		text := string(e.Data)
		out.Data = &text
	} else {
		out.DataBase64 = e.Data
	}
	return out
}

func showLetterCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show one dead letter with its event", ArgsUsage: "GROUP ID",
		Description: `ID is that of the event, or of the letter. Data that is no text is shown in hexadecimal, and with -o json in data_base64.

Example:
   worker dlq show billing 17`,
		Flags:        append([]cli.Flag{deadLetterFlag()}, append(outputFlags(), config.Flags(dlqSections...)...)...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return withLetters(ctx, cmd, stderr, 2, func(_ *worker.Connections, t *deadletter.Topic) error {
				l, err := findLetter(ctx, cmd, t)
				if err != nil {
					return err
				}
				if wantsJSON(cmd) {
					return printJSON(stdout, newWholeLetterJSON(l))
				}
				return printLetter(stdout, l)
			})
		},
	}
}

// findLetter reads the letter that the arguments name by its own id, or by that of its event where
// one letter of it alone is not superseded.
func findLetter(ctx context.Context, cmd *cli.Command, t *deadletter.Topic) (*deadletter.Letter, error) {
	f := deadletter.Filter{Group: cmd.Args().First(), ID: cmd.Args().Get(1)}
	p, err := readPage(ctx, t, f, bus.Position{}, shownRows)
	if err != nil {
		return nil, err
	}
	if err := t.FindEdits(ctx, p.letters); err != nil {
		return nil, err
	}
	letters := slices.DeleteFunc(p.letters, func(l deadletter.Letter) bool { return l.ID != f.ID && l.SupersededBy != "" })
	switch {
	case len(letters) == 0:
		return nil, fmt.Errorf("%s has no letter of %q: it was never given up, or its letter was redriven or dropped", letterTopic(cmd), f.ID)
	case len(letters) > 1 && letters[0].ID != f.ID:
		return nil, fmt.Errorf("%s has more than one letter of %q: name one of them, such as %s or %s; worker dlq list %s --id %s -o json has all of them",
			letterTopic(cmd), f.ID, visibleText(letters[0].ID), visibleText(letters[1].ID), visibleText(f.Group), visibleText(f.ID))
	}
	return &letters[0], t.Load(ctx, &letters[0])
}

// printLetter writes a letter for people.
func printLetter(w io.Writer, l *deadletter.Letter) error {
	e := &l.Event
	fields := [][2]string{
		{"letter", l.ID},
		{"position", l.Position.String()},
		{"edited", l.Edited},
		{"superseded by", l.SupersededBy},
		{"group", l.Group},
		{"reason", l.Reason},
		{"error", l.Error},
		{"attempts", strconv.Itoa(l.Attempts)},
		{"crashes", strconv.Itoa(l.Crashes)},
		{"claimed", formatTime(l.Claimed)},
		{"died", formatTime(l.Died)},
	}
	for i := range l.History {
		fields = append(fields, [2]string{"attempt " + strconv.Itoa(l.History[i].Number), describeAttempt(&l.History[i])})
	}
	fields = append(fields, [][2]string{
		{"id", e.ID},
		{"topic", e.Topic},
		{"key", e.Key},
		{"type", e.Type},
		{"source", e.Source},
		{"time", formatTime(e.Time)},
		{"content type", e.ContentType},
		{"stored at", l.At.String()},
	}...)
	if err := printFields(w, fields, e.Headers); err != nil {
		return err
	}
	if l.Stack != "" {
		if _, err := fmt.Fprintf(w, "stack:\n%s", shownData([]byte(l.Stack), isTerminal(w))); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%-14s %d bytes\n%s", "data:", len(e.Data), shownData(e.Data, isTerminal(w)))
	return err
}
