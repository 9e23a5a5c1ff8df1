package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// parseDocument parses the one document of a file. Nil: a mistake was reported.
func (r *configReader) parseDocument(data []byte) *yaml.Node {
	if !r.checkIsText(data) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		r.reportMistake("", "%v", err)
		return nil
	}
	var first, second yaml.Node
	switch err := loader.Load(&first); {
	case errors.Is(err, io.EOF):
		r.reportMistakeAt("", valueOrigin{line: 1, column: 1}, "the file is empty: name at least a topic and a handler under subscriptions")
		return nil
	case err != nil:
		r.reportSyntax(err, data)
		return nil
	}
	switch err := loader.Load(&second); {
	case err == nil:
		r.reportMistakeAt("", valueOrigin{line: second.Line, column: second.Column}, "a second document begins here (---): keep one in a file")
		return nil
	case !errors.Is(err, io.EOF):
		r.reportSyntax(err, data)
		return nil
	}
	return first.Content[0]
}

// checkIsText checks that the file is text.
func (r *configReader) checkIsText(data []byte) bool {
	line, start := 1, 0
	bad := func(end int, format string, args ...any) bool {
		r.reportMistakeAt("", valueOrigin{line: line, column: utf8.RuneCount(data[start:end]) + 1}, format, args...)
		return false
	}
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			return bad(i, "the file is not UTF-8: save it as UTF-8")
		case c == '\n':
			line, start = line+1, i+1
		case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
			return bad(i, "a control character (U+%04X): remove it, or write it as an escape in double quotes", c)
		}
		i += size
	}
	return true
}

// reportSyntax explains what the YAML library says, without its names for things, and without what
// the file holds.
func (r *configReader) reportSyntax(err error, data []byte) {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		r.reportMistakeAt("", valueOrigin{line: 1, column: 1}, "this is not YAML")
		return
	}
	mark := load.Mark
	line := lineOf(data, mark.Line)
	var advice string
	switch {
	case strings.Contains(load.Message, "anchor"):
		advice = "there is no such anchor (&name): quote a value that begins with '*'"
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		advice = "a tab: indent with spaces"
	case strings.Contains(line, "${") && strings.ContainsAny(line, "{["):
		advice = "quote a value with ${…} inside of { } or [ ]"
	case strings.Contains(load.Message, "cannot start any token"):
		advice = "quote a value that begins with a special character"
	case strings.Contains(load.Message, "mapping values are not allowed"):
		advice = "check the indentation, and quote a value that has a colon and a space"
	case strings.Contains(load.Message, "depth"):
		advice = "it is nested too deeply"
	default:
		advice = "check indentation, quotes and brackets"
	}
	r.reportMistakeAt("", valueOrigin{line: mark.Line, column: mark.Column}, "this is not YAML: %s: %s", safeMessage(load.Message), advice)
}

var shownMessage = regexp.MustCompile(`^[a-z ,'"/<>:?{}\[\]-]+$`)

// safeMessage is the library's message if it can hold nothing of the file.
func safeMessage(message string) string {
	if strings.Contains(message, "anchor") || strings.Contains(message, "tag") || !shownMessage.MatchString(message) {
		return "it cannot be read from here on"
	}
	return message
}

func lineOf(data []byte, line int) string {
	for i, l := range bytes.SplitN(data, []byte("\n"), line+1) {
		if i == line-1 {
			return string(l)
		}
	}
	return ""
}
