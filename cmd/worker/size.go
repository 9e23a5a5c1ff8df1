package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/internal/sizing"
	"github.com/onceish/onceish/worker/config"
)

func sizeCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "size",
		Usage: "estimate what marks, an outbox and dead letters take",
		Description: `It multiplies a rate, the time for which marks are kept, and measured bytes; no server is asked. DATA is documents, or messages with their
subjects; DISK and INDEX are what they take in files; MEMORY is what the server needs, or the process where that has the store. Each replica has
as much. In MongoDB DISK and INDEX were measured on DocumentDB. VERDICT is for a server with 64 GiB of memory. The events themselves are not
estimated: their stream takes rate x max_age x bytes per message, which are Bytes by Messages of "nats stream info".

Examples:
   worker size --rate 500/s --ttl 7d
   worker size --rate 30/m --ttl 1d --store kv --key-length 120
   worker size --outbox-rate 500/s --letters 10000 --data 2048 -o json

Exit status: 0 estimated, whether it fits or not, 1 failed, 2 wrong usage.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "rate", HideDefault: true, Usage: "events at this `RATE`, such as 500/s, 30/m or 5/h, of all topics of all groups that share the store"},
			&cli.StringFlag{Name: "ttl", Value: "7d", Usage: "marks are kept for a `DURATION`"},
			&cli.StringFlag{
				Name: "store", HideDefault: true, Usage: "one `STORE`: kv (in NATS), mongo or memory (default: each)",
				Validator: commandline.OneOf(string(sizing.KV), string(sizing.Mongo), string(sizing.Memory)),
			},
			&cli.IntFlag{Name: "key-length", Value: sizing.DefaultKeyLength, Usage: "topic, group and id have `N` bytes, with four between them", Validator: commandline.Positive},
			&cli.StringFlag{Name: "outbox-rate", HideDefault: true, Usage: "events are added to an outbox at this `RATE`"},
			&cli.StringFlag{Name: "outbox-retention", Value: "3d", Usage: "rows are kept for a `DURATION` after they were sent"},
			&cli.IntFlag{Name: "letters", HideDefault: true, Usage: "`N` dead letters are kept", Validator: commandline.Positive},
			&cli.IntFlag{Name: "data", Value: 256, Usage: "events have `N` bytes of data", Validator: commandline.Positive},
		}, outputFlags()...),
		OnUsageError: commandline.UsageError,
		Action: func(_ context.Context, cmd *cli.Command) error {
			sizes, err := estimateSizes(cmd)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(stdout, struct {
					Sizes []sizeJSON `json:"sizes"`
				}{sizes})
			}
			return printSizes(stdout, sizes)
		},
	}
}

// sizeJSON is what one kind of thing takes, to programs.
type sizeJSON struct {
	What    string  `json:"what"`
	Store   string  `json:"store"`
	Count   float64 `json:"count"`
	Data    float64 `json:"data_bytes"`
	Disk    float64 `json:"disk_bytes"`
	Index   float64 `json:"index_bytes"`
	Memory  float64 `json:"memory_bytes"`
	Fits    bool    `json:"fits"`
	Verdict string  `json:"verdict"`
}

func newSizeJSON(what, store string, n sizing.Size, fits bool, verdict string) sizeJSON {
	return sizeJSON{
		What: what, Store: store, Fits: fits, Verdict: verdict,
		Count: math.Round(n.Keys), Data: math.Round(n.Data), Disk: math.Round(n.Disk), Index: math.Round(n.Index), Memory: math.Round(n.Memory),
	}
}

// estimateSizes estimates what the flags ask for.
func estimateSizes(cmd *cli.Command) (sizes []sizeJSON, err error) {
	if cmd.Args().Present() {
		return nil, commandline.Usagef(cmd, "unexpected argument %q", cmd.Args().First())
	}
	rate, err := readFlag(cmd, "rate", config.ParsePerSecond)
	if err != nil {
		return nil, err
	}
	ttl, err := readFlag(cmd, "ttl", config.ParseDuration)
	if err != nil {
		return nil, err
	}
	for _, s := range sizing.Stores() {
		if rate > 0 && cmp.Or(cmd.String("store"), string(s)) == string(s) {
			n := s.Estimate(sizing.Load{Rate: rate, TTL: ttl, KeyLength: cmd.Int("key-length")})
			fits, why := s.Verdict(n)
			sizes = append(sizes, newSizeJSON("marks", string(s), n, fits, why))
		}
	}
	rows, err := estimateOutbox(cmd)
	if err != nil {
		return nil, err
	}
	if rows.Keys > 0 {
		fits, why := sizing.Mongo.Verdict(rows)
		sizes = append(sizes, newSizeJSON("outbox rows", string(sizing.Mongo), rows, fits, why))
	}
	if n := cmd.Int("letters"); n > 0 {
		letters := sizing.Letters(float64(n), cmd.Int("data"))
		sizes = append(sizes, newSizeJSON("dead letters", "nats", letters, true, "fits as far as its stream has room"))
	}
	if len(sizes) == 0 {
		return nil, commandline.Usagef(cmd, "nothing to estimate: give --rate, such as 500/s, --outbox-rate or --letters")
	}
	return sizes, nil
}

func estimateOutbox(cmd *cli.Command) (n sizing.Size, err error) {
	rate, err := readFlag(cmd, "outbox-rate", config.ParsePerSecond)
	if err != nil {
		return n, err
	}
	keep, err := readFlag(cmd, "outbox-retention", config.ParseDuration)
	return sizing.Outbox(rate, keep, cmd.Int("data")), err
}

// readFlag parses the text of a flag; one without text is zero.
func readFlag[T float64 | time.Duration](cmd *cli.Command, name string, parse func(string) (T, error)) (v T, err error) {
	text := cmd.String(name)
	if text == "" {
		return v, nil
	}
	if v, err = parse(text); err != nil {
		return v, commandline.Usagef(cmd, "--%s: %w", name, err)
	}
	return v, nil
}

func printSizes(stdout io.Writer, sizes []sizeJSON) error {
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "WHAT\tSTORE\tCOUNT\tDATA\tDISK\tINDEX\tMEMORY\tVERDICT") // Flush reports what fails
	for i := range sizes {
		s := &sizes[i]
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.What, s.Store, sizing.Count(s.Count),
			bytesCell(s.Data), bytesCell(s.Disk), bytesCell(s.Index), bytesCell(s.Memory), s.Verdict)
	}
	return t.Flush()
}

func bytesCell(n float64) string {
	if n == 0 {
		return "-"
	}
	return sizing.Bytes(n)
}
