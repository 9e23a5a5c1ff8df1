package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/provision"
)

func provisionCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "provision",
		Usage: "make streams, buckets and collections that a file needs",
		Description: `It makes what the section provision of the file says; streams for topics, dead letters and what handlers publish, where there are none; the
worker's key-value buckets, or its collections with their indexes. What is there is changed where the file says otherwise, with --yes
or when asked. Nothing is done that deletes messages: it is refused, with the command that does it, and the rest goes on. Repeating it
changes nothing.

+ is made, ~ is changed, = is as it is to be, ! is refused, > is left to the worker.

Examples:
   worker provision -c worker.yaml --dry-run
   worker provision -c worker.yaml --yes
   worker provision -c worker.yaml --dry-run -o json | jq -e '.pending + .refused == 0'

Exit status: 0 done, or with --dry-run nothing is refused; 1 failed, refused, or not asked for after all; 2 wrong usage.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "config", Aliases: []string{"c"}, TakesFile: true, Usage: "`FILE` that says what to do, or - for standard input; see docs/configuration.md"},
			&cli.BoolFlag{Name: "dry-run", HideDefault: true, Usage: "show what there is to do, and do nothing"},
			yesFlag(", unless all is made new"),
		}, append(outputFlags(), config.Flags(config.SectionGroup, config.SectionMongo, config.SectionNATS, config.SectionDataDir, config.SectionLog, config.SectionStrict)...)...),
		OnUsageError: commandline.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			p := &provisioning{cmd: cmd, stdin: stdin, stdout: stdout, stderr: stderr}
			return p.run(ctx)
		},
	}
}

// provisioning is one call of the command.
type provisioning struct {
	cmd            *cli.Command
	stdin          io.Reader
	stdout, stderr io.Writer
}

func (p *provisioning) run(ctx context.Context) error {
	if err := noArguments(p.cmd, "name the file with -c"); err != nil {
		return err
	}
	file := p.cmd.String("config")
	if file == "" {
		return commandline.Usagef(p.cmd, "name a file with -c")
	}
	c, warnings, err := config.Load(p.cmd, file)
	if err != nil {
		return err
	}
	if !p.cmd.IsSet("log-level") {
		c.Log.Level = "warn"
	}
	log := newLogger(c, p.stderr)
	for _, w := range warnings {
		log.Warn(w.String())
	}
	return withConnections(ctx, connectOptions(p.cmd, c, log), func(conns *worker.Connections) error {
		plan, err := provision.New(ctx, conns, c)
		if err != nil {
			return err
		}
		if p.cmd.Bool("dry-run") {
			return p.show(plan)
		}
		return p.apply(ctx, plan, conns.BusName())
	})
}

// show prints what there is to do.
func (p *provisioning) show(plan *provision.Plan) error {
	if err := p.printPlan(plan); err != nil {
		return err
	}
	if n := plan.Count(provision.Refuse); n > 0 {
		return fmt.Errorf("%d %s refused", n, pluralNoun(n, "item"))
	}
	return nil
}

func (p *provisioning) apply(ctx context.Context, plan *provision.Plan, at string) error {
	if err := p.confirm(plan, at); err != nil {
		return err
	}
	applied := plan.Apply(ctx, nil)
	if err := p.printPlan(plan); err != nil {
		return err
	}
	return applied
}

// confirm asks before what is there is changed.
func (p *provisioning) confirm(plan *provision.Plan, at string) error {
	n := plan.Count(provision.Change)
	ask := &confirmedChange{cmd: p.cmd, stdin: p.stdin, stderr: p.stderr, verb: "change", sure: n == 0}
	what := fmt.Sprintf("%d %s", n, pluralNoun(n, "item"))
	if ask.mustAsk() {
		writePlan(p.stderr, plan) // what is asked is about it
	}
	if err := ask.checkCanAsk(what); err != nil {
		return err
	}
	return ask.confirmChange(at, what)
}

// printPlan prints the items, each with what was done about it.
func (p *provisioning) printPlan(plan *provision.Plan) error {
	if wantsJSON(p.cmd) {
		return printJSON(p.stdout, struct {
			DryRun  bool             `json:"dry_run"`
			Pending int              `json:"pending"`
			Refused int              `json:"refused"`
			Items   []provision.Item `json:"items"`
		}{p.cmd.Bool("dry-run"), plan.Pending(), plan.Count(provision.Refuse), plan.Items})
	}
	if p.cmd.Bool("quiet") {
		return nil
	}
	writePlan(p.stdout, plan)
	_, err := fmt.Fprintln(p.stdout, p.summary(plan))
	return err
}

// summary counts the items.
func (p *provisioning) summary(plan *provision.Plan) string {
	if p.cmd.Bool("dry-run") {
		return fmt.Sprintf("%d to create, %d to change, %d unchanged, %d refused", plan.Count(provision.Create), plan.Count(provision.Change),
			plan.Count(provision.Keep), plan.Count(provision.Refuse))
	}
	applied := make(map[provision.Action]int)
	for i := range plan.Items {
		if plan.Items[i].Applied {
			applied[plan.Items[i].Action]++
		}
	}
	return fmt.Sprintf("%d created, %d changed, %d unchanged, %d refused, %d failed", applied[provision.Create], applied[provision.Change],
		plan.Count(provision.Keep), plan.Count(provision.Refuse), plan.Pending())
}

// writePlan writes the items for people, with a sign of what is done about each.
func writePlan(w io.Writer, plan *provision.Plan) {
	signs := map[provision.Action]string{
		provision.Create: "+", provision.Change: "~", provision.Keep: "=", provision.Refuse: "!", provision.Manual: ">",
	}
	for i := range plan.Items {
		item := &plan.Items[i]
		lines := []string{fmt.Sprintf("%s %s %s", signs[item.Action], item.Kind, item.Name)}
		for _, f := range item.Fields {
			if f.Have == "" {
				lines = append(lines, f.Name+": "+f.Want)
			} else {
				lines = append(lines, f.Name+": "+f.Have+" -> "+f.Want)
			}
		}
		for _, more := range []struct{ name, text string }{{"reason", item.Why}, {"failed", item.Error}, {"command", item.Command}} {
			if more.text != "" {
				lines = append(lines, more.name+": "+more.text)
			}
		}
		for j := range lines {
			lines[j] = visibleText(lines[j])
		}
		_, _ = fmt.Fprintln(w, strings.Join(lines, "\n    ")) // the summary tells of what fails
	}
}
