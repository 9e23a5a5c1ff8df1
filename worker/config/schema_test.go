package config_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/onceish/onceish/worker/config"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("worker.schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("worker.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain is what an editor hands to a schema; ok is false for what is not even one document of YAML.
func plain(file string) (v any, ok bool) {
	if err := yaml.Load([]byte(file), &v); err != nil {
		return nil, false
	}
	return untimed(v), true
}

func untimed(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.Format(time.RFC3339)
	case map[string]any:
		for k := range v {
			v[k] = untimed(v[k])
		}
	case []any:
		for i := range v {
			v[i] = untimed(v[i])
		}
	}
	return v
}

// good are files without mistakes.
func good() []string {
	return []string{
		smallest, string(config.Example()), streams("    - {name: A, subjects: [a], max_age: unlimited, max_msgs: 1, max_bytes: 1KiB}\n"), smallest + "provision: {streams: }\n",
		strings.TrimPrefix(smallest, "group: billing\n") + "x-mine: [1, {a: b}]\n", // --group
		"nats:\nmongo: {}\nlog: ~\n" + smallest,
		with("concurrency: ${ONE}", "lease: '${D:30s}'", "rate: ${R:5/h}", "order: ${O:key}", "start: ${S:latest}", "attempts: 16"),
		with("concurrency: '${ONE}'", "backoff: {base: '${D:1s}'}", "mode: ${M:seen-mark}", "ttl: 1w2d", "start: 2026-01-31T15:04:05.5+02:00"),
		with("concurrency: auto", "rate: 100/s", "breaker:"), with("concurrency: auto:2-32", "rate: {limit: 2, per: 2s}", "breaker: 3"), with("concurrency: '8'", "rate: {limit: '2'}", "breaker: {}"),
		with("concurrency: ${C:auto:1-4}", "rate: '${R:5/h}'", "breaker: ${B:4}"), with("rate: {limit: '${L:5}', by: header:X-Tenant, strategy: '${S:sliding-log}', shared: '${T:true}', on_outage: closed}"),
		"nats: {provision: '${P:true}'}\n" + handled("{log: }"),
		handled("{log: {}}"), handled("{log: {data: true}}"), handled("{exec: {command: ./a}}"), handled("{exec: '${C:./a}'}"), handled("{publish: b}"),
		handled("{http: 'https://u:p@h:8080/x?y=z'}"), handled("{http: {url: 'http://[::1]', headers: {}}}"), handled("{http: {url: 'http://h', statuses: '401-405=permanent,409 = done'}}"), handled("{http: {url: '${U:http://h}', headers: {a-B: c}}}"),
		handled("{http: {url: http://h, signing: {secrets: ['${S:whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}'], files: [a, b]}, addresses: public, per_host: {concurrency: 5, rate: 3/m}}}"),
		handled("{http: {url: http://h, signing: , per_host: {rate: '${R:1/s}'}}}"), handled("{http: {url: http://h, signing: {}, statuses: 404=gone}}"),
		boxed, boxed + "{}", boxed + "{collection: c, attempts: 5, after_dead: continue, retention: '${R:2d}'}",
		boxed + "{backoff: {base: 1s}}\nsubscriptions: [{topic: a, handler: {publish: {topic: b, outbox: true}}}]\n",
		"x-h: &h {exec: ./a}\ngroup: g\nsubscriptions: [{topic: a, handler: *h}]\n",
	}
}

func TestSchemaAcceptsWhatLintAccepts(t *testing.T) {
	t.Parallel()
	s, variables := schema(t), env(map[string]string{"ONE": "1", "ONCEISH_GROUP": "billing"})
	for _, file := range good() {
		if _, problems := config.Parse("w", []byte(file), variables); len(problems) > 0 {
			t.Errorf("%s\n%v", file, problems)
		}
		if v, ok := plain(file); !ok {
			t.Errorf("not YAML:\n%s", file)
		} else if err := s.Validate(v); err != nil {
			t.Errorf("%s\n%v", file, err)
		}
	}
}

// What Lint refuses the schema refuses, unless it cannot be known from the structure of one file.
func TestSchemaRefusesWhatLintRefuses(t *testing.T) {
	t.Parallel()
	beyond := []string{
		"warning:", "--group", "overlaps with", "its own dead letters", "dead.GROUP", "for ever", "ttl is", "max_unmarked is", "and ttl of", "kept in a MongoDB", "there is no outbox", "has the marks", "longer than", "has a wildcard", "an empty token", "with a dot",
		"the environment has no", "worker's environment", "shell's way", "has no end", // variables
		"scheme", "names no host", "port is", "mongodb://", "set for each request", "belongs to the connection", "an underscore", "no publisher may", "control character", "in other letters", // URLs and headers
		"begins with the larger", "has no unit that is known", "and rate.per is", "bounds nothing", "is for token-bucket", "for it remembers each start", // numbers that are compared
		"in decimal digits", "does not begin with a whole number", "not a duration from", "292 years", "more than 1000000000", // bounds of what is text
		"has a NUL", "131072 bytes", "and no range", "is there twice: remove one", // of texts
		"exclude each other", "a client needs both", "in the transaction", "in mode transactional",
		"2026-01-31\" is", // a time to YAML
		"has a tag", "is text, but it must be true or false: remove the quotes",
		"list, but a mapping is wanted: put keys below it", "this is not YAML", // several mistakes
	}
	s := schema(t)
	refused, all := 0, mistakes()
	maps.Copy(all, flowMistakes())
	for file := range all {
		v, ok := plain(file)
		if !ok {
			continue
		}
		if s.Validate(v) != nil {
			refused++
			continue
		}
		for _, p := range lint("w", []byte(file), env(nil)) {
			known := false
			for _, b := range beyond {
				known = known || strings.Contains(p.String(), b)
			}
			if !known {
				t.Errorf("the schema accepts\n%s\n%v", file, p)
			}
		}
	}
	if refused < 30 {
		t.Errorf("only %d files are refused", refused)
	}
}

func TestSchemaDescribesEveryKey(t *testing.T) {
	t.Parallel()
	text := string(config.Schema())
	for _, want := range []string{
		`"description": "failures at which an event is dead-lettered (1 to 1000000)"`, `"default": 10`, `"default": "7d"`, `"default": false`,
		`"https://json-schema.org/draft/2020-12/schema"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}
