package config

import (
	_ "embed"
	"fmt"
	"strings"
)

var (
	//go:embed document.md
	document string
	//go:embed example.yaml
	example string
)

// Example is a file that has every key, with what it means.
func Example() []byte { return []byte(example) }

// Markdown is docs/configuration.md.
func Markdown() []byte {
	var tables strings.Builder
	table(&tables, "The file", "", tree().specs())
	return []byte(strings.NewReplacer("{{example}}", strings.TrimSpace(example), "{{tables}}", strings.TrimSpace(tables.String())).Replace(document))
}

// table writes one of the keys of a mapping, and then those of the mappings below.
func table(b *strings.Builder, title, at string, specs []*spec) {
	fmt.Fprintf(b, "### %s\n\n| key | value | default | flag | environment | |\n|---|---|---|---|---|---|\n", title)
	for _, s := range specs {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", s.name, s.kindCell(), s.presetCell(), code(dashed(s.flag)), code(s.env), s.meaningCell())
	}
	b.WriteByte('\n')
	for _, s := range specs {
		if len(s.below) == 0 {
			continue
		}
		path := join(at, s.name)
		if s.list {
			path += "[]"
		}
		table(b, "`"+path+"`", path, s.below)
	}
}

func (s *spec) kindCell() string {
	switch {
	case len(s.values) > 0:
		all := make([]string, len(s.values))
		for i, v := range s.values {
			all[i] = code(v)
		}
		return list(all)
	case s.bounds != "":
		return s.kind + ", " + s.bounds
	case s.one:
		return "mapping with one key"
	}
	return s.kind
}

func (s *spec) presetCell() string {
	switch {
	case s.required && s.unless != "":
		return "required, or " + code(s.unless)
	case s.required:
		return "required"
	case s.literal != nil:
		return code(s.preset)
	}
	return cell(s.preset)
}

func (s *spec) meaningCell() string {
	if s.secret && !s.loose {
		return cell(s.meaning) + " (secret)"
	}
	return cell(s.meaning)
}

func dashed(flag string) string {
	if flag == "" {
		return ""
	}
	return "--" + flag
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "'order.>'", "`order.>`", "*", "\\*").Replace(text)
}
