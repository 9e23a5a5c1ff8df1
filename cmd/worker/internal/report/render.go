package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pageView is a page as the template writes it.
type pageView struct {
	*Page

	Charts []*chartView
	Tables []tableView
}

// tableView is a table as the template writes it.
type tableView struct {
	Title   string
	Columns []cellView
	Rows    [][]cellView
}

// cellView is a cell; numbers are aligned to the right.
type cellView struct {
	Text   string
	Number bool
}

// Render writes the page. It does not change it, and writes nothing if the page is refused: for an
// unknown outcome or axis, or a row of a table whose cells are not as many as its columns.
func (p *Page) Render(w io.Writer) error {
	page, err := p.renderPage()
	if err != nil {
		return err
	}
	if _, err := w.Write(page); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// WriteFile writes the page to a file, which is replaced if it exists. A page that Render refuses
// leaves the file as it was.
func (p *Page) WriteFile(path string) error {
	page, err := p.renderPage()
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, page, 0o644); err != nil { //nolint:gosec // a report is for others to read
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// CheckFile returns an error if WriteFile could not write to path, and changes nothing.
func CheckFile(path string) error {
	_, err := os.Stat(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644) //nolint:gosec // a report is for others to read
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	err = f.Close()
	if isNew {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func (p *Page) renderPage() ([]byte, error) {
	if err := p.checkPage(); err != nil {
		return nil, err
	}
	view := &pageView{Page: p}
	for i := range p.Charts {
		view.Charts = append(view.Charts, newChartView(i, &p.Charts[i]))
	}
	for _, t := range p.Tables {
		view.Tables = append(view.Tables, newTableView(t))
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, view); err != nil {
		return nil, fmt.Errorf("render report: %w", err)
	}
	return bytes.Map(replaceUnprintable, b.Bytes()), nil
}

// replaceUnprintable replaces what no page may contain, or what turns the direction of text.
func replaceUnprintable(r rune) rune {
	if r != '\n' && r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
		return utf8.RuneError
	}
	return r
}

func newTableView(t Table) tableView {
	v := tableView{Title: t.Title, Rows: make([][]cellView, len(t.Rows))}
	for column, name := range t.Columns {
		number := isNumberColumn(t.Rows, column)
		v.Columns = append(v.Columns, cellView{name, number})
		for i, row := range t.Rows {
			v.Rows[i] = append(v.Rows[i], cellView{row[column], number})
		}
	}
	return v
}

// isNumberColumn reports whether each cell of a column is empty, or begins like a number.
func isNumberColumn(rows [][]string, column int) bool {
	found := false
	for _, row := range rows {
		digits := strings.TrimLeft(row[column], "-+\u2212.<>≤≥~ ")
		if digits == "" {
			continue
		}
		if digits[0] < '0' || digits[0] > '9' {
			return false
		}
		found = true
	}
	return found
}
