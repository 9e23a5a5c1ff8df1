package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// variableForm is a variable in a value, for JSON Schema: ${VAR}, ${VAR:default}, not $${VAR}.
const variableForm = `(^|[^$])\$\{[A-Za-z_][A-Za-z0-9_]*(:[^}]*)?\}`

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)

// eventVariables are what commands get in their environment, which is not the worker's.
func eventVariables() []string {
	return []string{"CE_ID", "CE_SOURCE", "CE_TYPE", "CE_TIME", "TOPIC", "GROUP", "EVENT_KEY", "IDEMPOTENCY_KEY", "ATTEMPT", "TOKEN"}
}

const (
	// maxShownNames is how many variables of a value are named in messages.
	maxShownNames = 3
	// maxVariableName is what a variable's name may have in bytes.
	maxVariableName = 128
)

// lookupEnv is os.LookupEnv, or a test's.
type lookupEnv = func(string) (string, bool)

// expandVariables replaces ${VAR} and ${VAR:default}, and $${ by ${. Any other $ stays as it is,
// and what variables hold is not looked at again. It returns the names of the first variables; the
// errors hold no values.
func expandVariables(text string, env lookupEnv) (out string, names []string, err error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			b.WriteString(text)
			return b.String(), names, nil
		}
		b.WriteString(text[:i])
		text = text[i:]
		value, name, length, err := expandVariable(text, env)
		if err != nil {
			return "", names, err
		}
		if name != "" && len(names) < maxShownNames {
			names = append(names, name)
		}
		b.WriteString(value)
		text = text[length:]
	}
}

// expandVariable reads what begins with the dollar sign that text begins with: its value and its
// length. Without a name it is plain text.
func expandVariable(text string, env lookupEnv) (value, name string, length int, err error) {
	if strings.HasPrefix(text, "$${") {
		return "${", "", 3, nil
	}
	if !strings.HasPrefix(text, "${") {
		return "$", "", 1, nil
	}
	name = variableName.FindString(text[2:])
	rest := text[2+len(name):]
	switch {
	case name == "" || rest != "" && rest[0] != '}' && rest[0] != ':':
		return "$", "", 1, nil // such as the shell's ${1} and ${NAME%suffix}
	case len(name) > maxVariableName:
		return "", "", 0, fmt.Errorf("the name of a variable is longer than %d bytes: write $${ for the text ${", maxVariableName)
	case len(rest) > 1 && rest[0] == ':' && strings.IndexByte("-=+?", rest[1]) >= 0:
		return "", name, 0, fmt.Errorf("${%s:%c…} is the shell's way: write ${%s:default}, or $${ for the text ${", name, rest[1], name)
	}
	end := strings.IndexByte(rest, '}')
	if end < 0 {
		return "", name, 0, errors.New("a ${ has no end: write ${VAR}, or $${ for the text ${")
	}
	length = 2 + len(name) + end + 1
	if v, ok := env(name); ok {
		return v, name, length, nil
	}
	if end > 0 {
		return rest[1:end], name, length, nil
	}
	return "", name, 0, undefinedError(name)
}

// undefinedError is the name of a variable that the environment does not have.
type undefinedError string

func (e undefinedError) Error() string {
	return fmt.Sprintf("the environment has no %[1]s: set it, "+
		"or give a default as in ${%[1]s:default}, or write $${%[1]s} for the text itself",
		string(e))
}

// inCommand is the error in a command line, which gets some variables for each event.
func (e undefinedError) inCommand() error {
	if !slices.Contains(eventVariables(), string(e)) {
		return e
	}
	return fmt.Errorf("the worker's environment has no %[1]s; in a command line, "+
		"which gets it for each event, write $%[1]s or $${%[1]s}", string(e))
}

var shellVariable = regexp.MustCompile(`^\$[A-Za-z_][A-Za-z0-9_]*$`)

// unexpandedVariable is the name of the variable that a value likely stands for, as it does in a
// shell. Empty: the value is something else.
func unexpandedVariable(value string) string {
	if len(value) > maxVariableName || !shellVariable.MatchString(value) {
		return ""
	}
	return value[1:]
}
