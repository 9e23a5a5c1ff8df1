package folder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/onceish/onceish/internal/percent"
	"github.com/onceish/onceish/schema"
)

// maxFile bounds what is read as a version: one whose schema and samples are as large as they may
// be, with space between.
const maxFile = 16 << 20

// ErrNoFolder is returned when the folder does not exist.
var ErrNoFolder = errors.New("folder of schemas does not exist")

// Options of New. The zero value means the defaults.
type Options struct {
	// Make makes the folder if it does not exist. False: that is ErrNoFolder.
	Make bool
}

// Store is a schema.Store in a folder. Its methods block for reading and writing files.
type Store struct{ dir string }

var _ schema.Store = (*Store)(nil)

// New returns a store in a folder.
func New(dir string, o *Options) (*Store, error) {
	if cmp.Or(o, &Options{}).Make {
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // schemas are no secret
			return nil, err
		}
	}
	s := &Store{dir}
	if err := s.exists(); err != nil {
		return nil, err
	}
	return s, nil
}

// exists tells a folder without schemas from one that is not there, such as one that is not
// mounted.
func (s *Store) exists() error {
	info, err := os.Stat(s.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %q", ErrNoFolder, s.dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%w: %q is a file", ErrNoFolder, s.dir)
	}
	return nil
}

// Subjects implements schema.Store.
func (s *Store) Subjects(ctx context.Context) ([]schema.Subject, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	first, err := filepath.Glob(filepath.Join(globEscaper.Replace(s.dir), "*", "*", "1.json"))
	if err != nil {
		return nil, err
	}
	var out []schema.Subject
	for _, name := range first {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		folder := filepath.Dir(name)
		topic, topicOK := unescape(filepath.Base(filepath.Dir(folder)))
		eventType, typeOK := unescape(filepath.Base(folder))
		if !topicOK || !typeOK {
			return nil, fmt.Errorf("%w: %q: its folders are named after no topic and type: write other bytes than letters, digits and -_. as %%XX", schema.ErrInvalid, name)
		}
		out = append(out, schema.Subject{Topic: topic, Type: eventType})
	}
	slices.SortFunc(out, func(a, b schema.Subject) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), strings.Compare(a.Type, b.Type))
	})
	return out, nil
}

var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// Versions implements schema.Store.
func (s *Store) Versions(ctx context.Context, subject schema.Subject, above int) ([]schema.Version, error) {
	if err := s.exists(); err != nil {
		return nil, err
	}
	var out []schema.Version
	for n := max(above, 0) + 1; ; n++ {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		v, err := s.read(subject, n)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENAMETOOLONG) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
}

func (s *Store) read(subject schema.Subject, number int) (schema.Version, error) {
	name := s.file(subject, number)
	f, err := os.Open(name) //nolint:gosec // its name was escaped
	if err != nil {
		return schema.Version{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return schema.Version{}, err
	}
	if len(text) > maxFile {
		return schema.Version{}, fmt.Errorf("%w: %q has more than %d bytes", schema.ErrInvalid, name, maxFile)
	}
	v, err := schema.DecodeVersion(text, subject, number)
	if err != nil {
		return schema.Version{}, fmt.Errorf("%q: %w", name, err)
	}
	return v, nil
}

// Add implements schema.Store. It writes the file under another name, and then gives it its own,
// which no other file has.
func (s *Store) Add(ctx context.Context, v schema.Version) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := errors.Join(v.Validate(), s.exists()); err != nil {
		return err
	}
	text, err := v.Encode()
	if err != nil {
		return err
	}
	name := s.file(v.Subject, v.Number)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // schemas are no secret
		return err
	}
	if v.Number > 1 {
		if _, err := os.Stat(s.file(v.Subject, v.Number-1)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: version %d of %s: there is none before it", schema.ErrConflict, v.Number, v.Subject)
		}
	}
	temporary, err := writeTemporary(filepath.Dir(name), text)
	if err != nil {
		return err
	}
	err = os.Link(temporary, name)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w: version %d of %s", schema.ErrConflict, v.Number, v.Subject)
	}
	return errors.Join(err, os.Remove(temporary))
}

// writeTemporary writes a file that is on the disk when it has returned.
func writeTemporary(dir string, text []byte) (name string, err error) {
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func (s *Store) file(subject schema.Subject, number int) string {
	subject = subject.WithDefaults()
	return filepath.Join(s.dir, escape(subject.Topic), escape(subject.Type), strconv.Itoa(number)+".json")
}

// escape writes a topic or a type as the name of a folder. It is injective, and never hidden.
func escape(name string) string {
	escaped := percent.Encode(name, isPlain)
	if strings.HasPrefix(escaped, ".") {
		return "%2E" + escaped[1:]
	}
	return escaped
}

// unescape reads what escape has written.
func unescape(folder string) (name string, ok bool) {
	if rest, hidden := strings.CutPrefix(folder, "%2E"); hidden {
		folder = "." + rest
	}
	return percent.Decode('%', folder, isPlain)
}

func isPlain(c byte) bool { return percent.LetterOrDigit(c) || c == '-' || c == '_' || c == '.' }
