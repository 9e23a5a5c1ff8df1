package config

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/internal/commandline"
)

// Flags are the flags of some sections, in the order of the sections. What they are given is
// checked by Load and FromFlags, not by the command line. Help shows defaults, and never what
// the environment holds. A program without SectionDataDir has no server of its own. Each call
// makes new ones.
func Flags(wanted ...Section) []cli.Flag {
	var out []cli.Flag
	for _, s := range flaggedIn(wanted) {
		if s.meaningWithoutServer != "" && !slices.Contains(wanted, SectionDataDir) {
			s.meaning = s.meaningWithoutServer
		}
		out = append(out, s.cliFlag())
	}
	return out
}

// flaggedIn are the specs of some sections that have a flag, in the order of the sections.
func flaggedIn(wanted []Section) (out []*fieldInfo) {
	specs := configFields().fieldInfos()
	for _, section := range wanted {
		if i := slices.Index(fieldNames(specs), string(section)); i >= 0 {
			out = append(out, specs[i].flaggedFields()...)
		}
	}
	return out
}

func (s *fieldInfo) cliFlag() cli.Flag {
	var from cli.ValueSourceChain
	if s.env != "" {
		from = cli.NewValueSourceChain(nonEmptyVariable{cli.EnvVar(s.env)})
	}
	if s.kind == "true or false" {
		return &cli.BoolFlag{Name: s.flag, Usage: s.flagUsage(), Sources: from, HideDefault: true}
	}
	f := &cli.StringFlag{Name: s.flag, Usage: s.flagUsage(), Sources: from, HideDefault: true, TakesFile: s.placeholder == "FILE"}
	help := "--" + s.flag + " " + s.placeholder + "\t" + s.flagUsage()
	if s.env != "" {
		help += " [$" + s.env + "]"
	}
	f.SetStringer(func(cli.Flag) string { return help })
	return f
}

// flagUsage is what help says of a flag.
func (s *fieldInfo) flagUsage() string {
	if s.defaultText == "" || s.kind == "true or false" {
		return s.meaning
	}
	return fmt.Sprintf("%s (default: %s)", s.meaning, s.defaultText)
}

// nonEmptyVariable is a variable of the environment, which is as good as none when it is empty.
type nonEmptyVariable struct{ cli.ValueSource }

// Lookup implements cli.ValueSource.
func (v nonEmptyVariable) Lookup() (string, bool) {
	value, _ := v.ValueSource.Lookup()
	return value, value != ""
}

// overridesFromFlags are what a command's flags, and their variables, say of some sections.
func overridesFromFlags(cmd *cli.Command, wanted []Section) map[string]overrideValue {
	out := make(map[string]overrideValue)
	for _, s := range flaggedIn(wanted) {
		if !cmd.IsSet(s.flag) {
			continue
		}
		text := cmd.String(s.flag)
		if s.kind == "true or false" {
			text = strconv.FormatBool(cmd.Bool(s.flag))
		}
		label := "--" + s.flag
		if s.env != "" && s.textOfVariable(os.Getenv(s.env)) == text && text != "" {
			label = s.env // or a flag that says the same
		}
		out[s.flag] = overrideValue{text, valueOrigin{label: label, secret: s.secret}}
	}
	return out
}

// overridesFromEnv is what the variables of flags say.
func overridesFromEnv(env lookupEnv) map[string]overrideValue {
	out := make(map[string]overrideValue)
	for _, s := range flaggedIn(allSections()) {
		if s.env == "" {
			continue
		}
		if text, _ := env(s.env); text != "" {
			out[s.flag] = overrideValue{s.textOfVariable(text), valueOrigin{label: s.env, secret: s.secret}}
		}
	}
	return out
}

// textOfVariable is what a variable says, as the file would: 1 is as good as true there.
func (s *fieldInfo) textOfVariable(text string) string {
	if on, err := strconv.ParseBool(text); err == nil && s.kind == "true or false" {
		return strconv.FormatBool(on)
	}
	return text
}

// rejectFlagsBesideFile refuses flags that make no sense beside a file: which subscription would
// they be about?
func rejectFlagsBesideFile(over map[string]overrideValue) error {
	var found []string
	for _, flag := range []string{"exec", "topic"} {
		if _, ok := over[flag]; ok {
			found = append(found, "--"+flag)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s and a file: write topics and handlers into the file", commandline.ErrUsage, strings.Join(found, " and "))
}
