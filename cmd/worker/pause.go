package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

func pauseCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "pause", Usage: "have all processes of a group start nothing more", ArgsUsage: "GROUP [TOPIC]",
		Description: `What runs finishes, and nothing new starts, in any process of the group, also in those that are started later. Events wait in the stream. Without a
TOPIC it pauses all of the group, its outbox included; --outbox pauses the outbox alone. It waits up to 10 seconds until every process has
confirmed that nothing more starts there, and prints which have not. In flight is what had been fetched then: what did not run is given back.

Examples:
   worker pause billing --reason "database upgrade" --for 30m
   worker pause billing order.placed
   worker resume billing

Exit status: 0 every process has confirmed, 1 one has not, or failed, 2 wrong usage.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "for", Usage: "`DURATION` from 1s to 30d, after which it ends by itself (default: until worker resume)"},
			&cli.StringFlag{Name: "reason", Usage: "`TEXT` that says why, for worker status and logs"},
		}, scopeFlags()...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return changePause(ctx, cmd, stdout, stderr, pauseWords, (*worker.Connections).PauseGroup)
		},
	}
}

func resumeCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name: "resume", Usage: "end a pause", ArgsUsage: "GROUP [TOPIC]",
		Description: `It ends the pause of the same scope: GROUP ends that of the whole group, GROUP TOPIC that of the topic. It also ends a pause of the group's
consumers that was made with the nats command. What still holds starts back is printed.

Example:
   worker resume billing order.placed

Exit status: 0 every process has confirmed, 1 one has not, or failed, 2 wrong usage.`,
		Flags:        scopeFlags(),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			return changePause(ctx, cmd, stdout, stderr, resumeWords, (*worker.Connections).ResumeGroup)
		},
	}
}

func scopeFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.BoolFlag{Name: "outbox", HideDefault: true, Usage: "the group's outbox alone"},
		&cli.StringFlag{Name: "by", Usage: "`NAME` of who asks (default: user@host)"},
	}, append(outputFlags(), config.Flags(natsSections...)...)...)
}

// changeWords are what a change is called, and what a process does that has not confirmed it.
type changeWords struct{ done, unconfirmed string }

var (
	pauseWords  = changeWords{"paused", "such a process may start what it has fetched"}
	resumeWords = changeWords{"resumed", "such a process may stay paused"}
)

// pauseJSON is what became of a pause, to programs.
type pauseJSON struct {
	Group string `json:"group"`
	Topic string `json:"topic,omitempty"`
	worker.PauseResult
	Complete bool `json:"complete"`
}

// changePause pauses or resumes what the arguments name.
func changePause(ctx context.Context, cmd *cli.Command, stdout, stderr io.Writer, words changeWords,
	change func(*worker.Connections, context.Context, string, group.Request) (worker.PauseResult, error),
) error {
	name, r, err := pauseRequest(cmd)
	if err != nil {
		return err
	}
	return withGroups(ctx, cmd, stderr, natsSections, func(c *worker.Connections) error {
		result, err := change(c, ctx, name, r)
		if errors.Is(err, group.ErrInvalid) {
			return fmt.Errorf("%w: %w", commandline.ErrUsage, err)
		}
		if err != nil && !errors.Is(err, group.ErrUnconfirmed) {
			return err
		}
		for _, w := range result.Warnings {
			_, _ = fmt.Fprintln(stderr, "warning: "+visibleText(w)) // the pause is stored
		}
		if wantsJSON(cmd) {
			return errors.Join(printJSON(stdout, pauseJSON{Group: name, Topic: r.Topic, PauseResult: result, Complete: err == nil}), err)
		}
		if !cmd.Bool("quiet") {
			if printErr := printPause(stdout, words.done, name, &r, &result); printErr != nil {
				return errors.Join(printErr, err)
			}
		}
		if err != nil {
			return fmt.Errorf("%w: %s until it reaches the server; one that died is gone from worker members %s within 30 seconds",
				err, words.unconfirmed, name)
		}
		return nil
	})
}

func pauseRequest(cmd *cli.Command) (name string, r group.Request, err error) {
	switch {
	case cmd.Args().Len() == 0:
		return "", r, commandline.Usagef(cmd, "name a group")
	case cmd.Args().Len() > 2:
		return "", r, commandline.Usagef(cmd, "unexpected argument %q: name a group, and one topic or none", cmd.Args().Get(2))
	case cmd.Bool("outbox") && cmd.Args().Len() == 2:
		return "", r, commandline.Usagef(cmd, "--outbox and the topic %q: name one of them", cmd.Args().Get(1))
	}
	if text := cmd.String("for"); text != "" {
		if r.For, err = config.ParseDuration(text); err != nil || r.For < group.MinPause || r.For > group.MaxPause {
			return "", r, commandline.Usagef(cmd, "--for is %q: it must be a duration from 1s to 30d", text)
		}
	}
	r = group.Request{Topic: cmd.Args().Get(1), For: r.For, Reason: cmd.String("reason"), By: cmd.String("by")}
	if cmd.Bool("outbox") {
		r.Topic = group.Outbox
	}
	if r.By == "" {
		r.By = userAtHost()
	}
	return cmd.Args().First(), r, nil
}

// userAtHost is who asks, as far as this machine knows.
func userAtHost() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

func printPause(stdout io.Writer, verb, name string, r *group.Request, result *worker.PauseResult) error {
	var text strings.Builder
	fmt.Fprintf(&text, "group %s", visibleText(name))
	switch r.Topic {
	case "":
	case group.Outbox:
		text.WriteString(", its outbox")
	default:
		fmt.Fprintf(&text, ", topic %s", visibleText(r.Topic))
	}
	fmt.Fprintf(&text, ": %s", verb)
	if !result.Until.IsZero() {
		fmt.Fprintf(&text, " until %s", result.Until.UTC().Format("2006-01-02T15:04:05Z"))
	}
	if n := len(result.Confirmed) + len(result.Missing); n > 0 {
		fmt.Fprintf(&text, "; %d of %d %s confirmed\n", len(result.Confirmed), n, pluralProcess(n))
	} else {
		text.WriteString("; no process of it runs\n")
	}
	for _, list := range []struct {
		word    string
		members []group.Member
	}{{"confirmed", result.Confirmed}, {"NOT CONFIRMED", result.Missing}, {"gone", result.Gone}} {
		for _, m := range list.members {
			fmt.Fprintf(&text, "   %-13s  %s  %s pid %d, %d in flight\n", list.word, visibleText(m.ID), visibleText(m.Host), m.PID, inFlight(&m))
		}
	}
	_, err := io.WriteString(stdout, text.String())
	return err
}

func inFlight(m *group.Member) (n int) {
	for _, s := range m.Subscriptions {
		n += s.InFlight
	}
	return n
}

func pluralProcess(n int) string {
	if n == 1 {
		return "process"
	}
	return "processes"
}
