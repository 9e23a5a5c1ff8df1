package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/commandline"
)

// Tuning is what flags say of subscriptions that a program has made itself: of all, or of
// single topics.
type Tuning struct{ settings []topicSetting }

// topicSetting is one value of one flag.
type topicSetting struct {
	topic string // empty: all
	flag  string
	text  string
}

// tunable is a flag of a subscription that changes nothing of what a program's handlers do.
type tunable struct {
	field string // of consumer.Options
	apply func(to, from *consumer.Options)
}

func tunableFlags() map[string]tunable {
	return map[string]tunable{
		"concurrency":  {"Concurrency", func(to, from *consumer.Options) { to.Concurrency = from.Concurrency }},
		"max-unmarked": {"MaxUnmarked", func(to, from *consumer.Options) { to.MaxUnmarked = from.MaxUnmarked }},
		"attempts":     {"MaxAttempts", func(to, from *consumer.Options) { to.MaxAttempts = from.MaxAttempts }},
		"crashes":      {"MaxCrashes", func(to, from *consumer.Options) { to.MaxCrashes = from.MaxCrashes }},
		"backoff-base": {"Backoff.Base", func(to, from *consumer.Options) { to.Backoff.Base = from.Backoff.Base }},
		"backoff-max":  {"Backoff.Max", func(to, from *consumer.Options) { to.Backoff.Max = from.Backoff.Max }},
		"run-limit":    {"RunLimit", func(to, from *consumer.Options) { to.RunLimit = from.RunLimit }},
		"lease":        {"Lease", func(to, from *consumer.Options) { to.Lease = from.Lease }},
		"ack-wait":     {"AckWait", func(to, from *consumer.Options) { to.AckWait = from.AckWait }},
		"ttl":          {"TTL", func(to, from *consumer.Options) { to.TTL = from.TTL }},
		"give-up":      {"GiveUp", func(to, from *consumer.Options) { to.GiveUp = from.GiveUp }},
		"start":        {"From", func(to, from *consumer.Options) { to.From = from.From }},
		"start-stream": {"FromStream", func(to, from *consumer.Options) { to.FromStream = from.FromStream }},
		"order":        {"Order", func(to, from *consumer.Options) { to.Order = from.Order }},
		"dead-letter":  {"DeadLetter", func(to, from *consumer.Options) { to.DeadLetter = from.DeadLetter }},
		"rate":         {"Limit", func(to, from *consumer.Options) { to.Limit = from.Limit }},
		"rate-by":      {"LimitKey", func(to, from *consumer.Options) { to.LimitKey = from.LimitKey }},
	}
}

// flowFlags are tunable as well. Of what they say consumer.Options hold nothing by itself.
func flowFlags() []string {
	return []string{"rate-shared", "rate-strategy", "breaker", "breaker-over", "breaker-wait", "breaker-scope"}
}

// tuningFields are the specs of what is tunable, in the order of the file.
func tuningFields() (out []*fieldInfo) {
	all := tunableFlags()
	for _, s := range flaggedIn([]Section{SectionSubscriptions}) {
		if _, ok := all[s.flag]; ok || slices.Contains(flowFlags(), s.flag) {
			out = append(out, s)
		}
	}
	return out
}

// TuningFlags are flags for programs that say themselves what they subscribe to. Each may be
// given several times: VALUE is for all topics, TOPIC=VALUE for one. Their values may have
// commas: set cli.Command.DisableSliceFlagSeparator.
func TuningFlags() []cli.Flag {
	var out []cli.Flag
	for _, s := range tuningFields() {
		usage := s.meaning + " (default: what the program says, else " + s.defaultText + ")"
		f := &cli.StringSliceFlag{Name: s.flag, Usage: usage, HideDefault: true}
		f.SetStringer(func(cli.Flag) string {
			return "--" + s.flag + " [TOPIC=]" + s.placeholder + "\t" + usage
		})
		out = append(out, f)
	}
	return out
}

// TuningFromFlags returns what TuningFlags were given. Errors are Problems.
func TuningFromFlags(cmd *cli.Command) (*Tuning, error) {
	t := &Tuning{}
	var problems Problems
	for _, f := range tuningFields() {
		for _, text := range cmd.StringSlice(f.flag) {
			one, err := parseSetting(f, text)
			if err != nil {
				problems = append(problems, Problem{Path: "--" + f.flag, Message: err.Error()})
				continue
			}
			t.settings = append(t.settings, one)
		}
	}
	slices.SortStableFunc(t.settings, func(a, b topicSetting) int { return cmp.Compare(min(len(a.topic), 1), min(len(b.topic), 1)) }) // what is for one topic wins
	topics := t.namedTopics()
	for _, topic := range topics[min(1, len(topics)-1):] { // what is for all may only make sense beside what is for one
		_, wrong := t.readSettings(topic)
		problems = append(problems, slices.DeleteFunc(wrong, func(p Problem) bool { return slices.Contains(problems, p) })...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return t, nil
}

func parseSetting(f *fieldInfo, text string) (topicSetting, error) {
	i := strings.LastIndexByte(text, '=')
	if i < 0 {
		return topicSetting{flag: f.flag, text: text}, nil
	}
	out := topicSetting{topic: text[:i], flag: f.flag, text: text[i+1:]}
	if bus.ValidPattern(out.topic) != nil {
		return out, fmt.Errorf("%s is no topic: write TOPIC=%s", quoteShort(out.topic), f.placeholder)
	}
	return out, nil
}

// namedTopics are the topics that flags name, and at first none, for all others.
func (t *Tuning) namedTopics() []string {
	out := []string{""}
	for i := range t.settings {
		if topic := t.settings[i].topic; !slices.Contains(out, topic) {
			out = append(out, topic)
		}
	}
	return out
}

// overridesFor are the flags that hold for a topic.
func (t *Tuning) overridesFor(topic string) map[string]overrideValue {
	out := make(map[string]overrideValue)
	for i := range t.settings {
		if s := &t.settings[i]; s.topic == "" || s.topic == topic {
			out[s.flag] = overrideValue{text: s.text, valueOrigin: valueOrigin{label: "--" + s.flag}}
		}
	}
	return out
}

// readSettings returns a Subscription with what the flags say of a topic, and what is wrong with
// them, also with those that only make sense together.
func (t *Tuning) readSettings(topic string) (s Subscription, problems Problems) {
	over := t.overridesFor(topic)
	r := newConfigReader("", nil, over)
	for _, k := range subscriptionKeys(consumer.OptionLimits(), &consumer.Options{}) {
		if slices.ContainsFunc(k.describeField().flaggedFields(), func(f *fieldInfo) bool { return over[f.flag].label != "" }) {
			k.applyOverrides(r, k.describeField().name, &s)
		}
	}
	s.Rate.checkNumbers(r, "rate")
	return s, r.problems
}

// Apply returns a copy of a subscription's options with what the flags say of its topic. Bounds
// that the program's other options would break give way: MaxUnmarked is at least Concurrency, and
// Backoff.Max at least Backoff.Base. An error is the operator's to mend: flags that make no sense
// together for this topic.
func (t *Tuning) Apply(topic string, o *consumer.Options) (*consumer.Options, error) {
	out := *cmp.Or(o, &consumer.Options{})
	s, problems := t.readSettings(topic)
	if len(problems) > 0 {
		return nil, fmt.Errorf("topic %s: %w", quoteShort(topic), problems)
	}
	said, err := s.Options()
	if err != nil {
		return nil, fmt.Errorf("flags for %s: %w", quoteShort(topic), err)
	}
	given := t.overridesFor(topic)
	for flag, f := range tunableFlags() {
		if _, ok := given[flag]; ok {
			f.apply(&out, said)
		}
	}
	if out.MaxUnmarked > 0 {
		out.MaxUnmarked = max(out.MaxUnmarked, out.Concurrency)
	}
	if out.Backoff.Max > 0 {
		out.Backoff.Max = max(out.Backoff.Max, out.Backoff.Base)
	}
	return &out, nil
}

// Flow returns what the flags say of a topic beyond consumer.Options: a Subscription of which only
// Concurrency, Rate and Breaker are set. Nil: they say nothing of those.
func (t *Tuning) Flow(topic string) *Subscription {
	s, _ := t.readSettings(topic) // what is wrong with them TuningFromFlags has refused
	if s.Concurrency == (Concurrency{}) && s.Rate == nil && s.Breaker == nil {
		return nil
	}
	return &Subscription{Concurrency: s.Concurrency, Rate: s.Rate, Breaker: s.Breaker}
}

// Refuse returns what is wrong with the options of a subscription that the flags have made wrong,
// with the names of flags: own are the program's, tuned are what Apply returned. What is wrong with
// own already is the program's fault, and is not returned.
func (t *Tuning) Refuse(group, topic string, own, tuned *consumer.Options) (problems Problems) {
	err := wrongOptions(group, tuned)
	if err == nil || wrongOptions(group, own) != nil {
		return nil
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		p := Problem{Path: "topic " + quoteShort(topic), Message: nameFlags(line)}
		problems = append(problems, p)
	}
	return problems
}

// wrongOptions returns what consumer.SubscribeExactlyOnce refuses of options.
func wrongOptions(group string, o *consumer.Options) error {
	checked := *cmp.Or(o, &consumer.Options{})
	if checked.Order == consumer.Exclusive || checked.Order.NumPartitions() > 0 {
		checked.Order = consumer.ByKey // the worker has the session that those need
	}
	_, err := checked.WithDefaults(group)
	return err
}

var optionsField = regexp.MustCompile(`Options\.[A-Z][A-Za-z]*(\.[A-Z][A-Za-z]*)?`)

// nameFlags replaces the fields of consumer.Options in a message by the flags that set them.
func nameFlags(message string) string {
	flags := make(map[string]string)
	for flag, t := range tunableFlags() {
		flags["Options."+t.field] = "--" + flag
	}
	return optionsField.ReplaceAllStringFunc(message, func(field string) string {
		return cmp.Or(flags[field], field)
	})
}

// Check refuses flags for topics that the program does not subscribe to.
func (t *Tuning) Check(topics []string) error {
	for i := range t.settings {
		if s := &t.settings[i]; s.topic != "" && !slices.Contains(topics, s.topic) {
			return fmt.Errorf("%w: --%s is for the topic %q, and this program subscribes to %s", commandline.ErrUsage, s.flag, s.topic, strings.Join(topics, ", "))
		}
	}
	return nil
}

// ShortestLease is the shortest lease or ack deadline that the flags say. Zero: they say none.
func (t *Tuning) ShortestLease() time.Duration {
	topics := t.namedTopics()
	values := make([]Subscription, len(topics))
	for i, topic := range topics {
		values[i], _ = t.readSettings(topic)
	}
	return ShortestLease(values)
}
