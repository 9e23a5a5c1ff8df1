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
	writeTable(&tables, "The file", "", configFields().fieldInfos())
	return []byte(strings.NewReplacer("{{example}}", strings.TrimSpace(example), "{{tables}}", strings.TrimSpace(tables.String())).Replace(document))
}

// writeTable writes one of the keys of a mapping, and then those of the mappings below.
func writeTable(b *strings.Builder, title, at string, specs []*fieldInfo) {
	fmt.Fprintf(b, "### %s\n\n| key | value | default | flag | environment | |\n|---|---|---|---|---|---|\n", title)
	for _, s := range specs {
		flag := s.flag
		if flag != "" {
			flag = "--" + flag
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", s.name, s.kindCell(), s.presetCell(), inBackticks(flag), inBackticks(s.env), s.meaningCell())
	}
	b.WriteByte('\n')
	for _, s := range specs {
		if len(s.children) == 0 {
			continue
		}
		path := joinPath(at, s.name)
		if s.list {
			path += "[]"
		}
		writeTable(b, "`"+path+"`", path, s.children)
	}
}

func (s *fieldInfo) kindCell() string {
	switch {
	case len(s.values) > 0:
		all := make([]string, len(s.values))
		for i, v := range s.values {
			all[i] = inBackticks(v)
		}
		return orList(all)
	case s.bounds != "":
		return s.kind + ", " + s.bounds
	case s.exactlyOne:
		return "mapping with one key"
	}
	return s.kind
}

func (s *fieldInfo) presetCell() string {
	switch {
	case s.required && s.unlessGiven != "":
		return "required, or " + inBackticks(s.unlessGiven)
	case s.required:
		return "required"
	case s.jsonDefault != nil:
		return inBackticks(s.defaultText)
	}
	return escapeCell(s.defaultText)
}

func (s *fieldInfo) meaningCell() string {
	if s.secret && !s.anyKeys {
		return escapeCell(s.meaning) + " (secret)"
	}
	return escapeCell(s.meaning)
}

func inBackticks(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

func escapeCell(text string) string {
	return strings.NewReplacer("|", "\\|", "'order.>'", "`order.>`", "*", "\\*").Replace(text)
}
