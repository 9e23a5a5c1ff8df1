package schema

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxInstructions bounds what a pattern compiles to: each byte of a text may meet all of them.
const maxInstructions = 10_000

// location is what the compiler knows a schema by. Nothing is loaded from there.
const location = "urn:schema"

// compiled checks data. Parts of the schema are compiled when they are asked for.
type compiled struct {
	root *jsonschema.Schema

	mu       sync.Mutex // the compiler is not safe for concurrent use
	compiler *jsonschema.Compiler
	parts    map[string]*jsonschema.Schema
}

// noLoader keeps the compiler from files and networks.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%.100q leads out of the schema, and nothing is fetched", url)
}

func compile(root any) (*compiled, error) {
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseRegexpEngine(compilePattern)
	if err := c.AddResource(location, root); err != nil {
		return nil, describeCompile(err)
	}
	s, err := c.Compile(location)
	if err != nil {
		return nil, describeCompile(err)
	}
	return &compiled{root: s, compiler: c, parts: map[string]*jsonschema.Schema{}}, nil
}

// part returns the schema at a pointer.
func (c *compiled) part(pointer string) (*jsonschema.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.parts[pointer]; s != nil {
		return s, nil
	}
	s, err := c.compiler.Compile(location + "#" + fragmentEscaper.Replace(pointer))
	if err != nil {
		return nil, describeCompile(err)
	}
	c.parts[pointer] = s
	return s, nil
}

// fragmentEscaper writes a pointer into a URL.
var fragmentEscaper = strings.NewReplacer("%", "%25", "\"", "%22", "<", "%3C", ">", "%3E", "^", "%5E", "`", "%60", "{", "%7B", "|", "%7C", "}", "%7D", " ", "%20", "\\", "%5C", "#", "%23")

// compilePattern is Go's engine, in which no pattern takes more than linear time, with a bound on
// what linear is.
func compilePattern(pattern string) (jsonschema.Regexp, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%w: patterns are those of Go, without lookaheads and backreferences; the keyword not may say it", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxInstructions {
		return nil, fmt.Errorf("it makes %d instructions, and at most %d are checked: use fewer and smaller repetitions", len(program.Inst), maxInstructions)
	}
	return regexp.Compile(pattern)
}

// describeCompile says where a schema is wrong. The location that the compiler knows it by is left
// out.
func describeCompile(err error) error {
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if found, ok := errors.AsType[*jsonschema.ValidationError](invalid.Err); ok {
			leaf := firstLeaf(found)
			return &pathError{leaf.InstanceLocation, describeKind(leaf.ErrorKind)}
		}
	}
	return errors.New(strings.ReplaceAll(err.Error(), location, ""))
}
