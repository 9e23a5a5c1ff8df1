package ndjson

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/onceish/onceish/internal/jsonobject"
)

func FuzzReader(f *testing.F) {
	f.Add([]byte("one\r\n\ntwo"), 5)
	f.Add([]byte("\xEF\xBB\xBFmark\n"), 100)
	f.Add(bytes.Repeat([]byte("x"), 200<<10), 100<<10)
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		limit = max(1, min(limit, 1<<20))
		want := strings.Split(strings.TrimSuffix(strings.TrimPrefix(string(data), "\xEF\xBB\xBF"), "\n"), "\n")
		if len(want) == 1 && want[0] == "" && !bytes.Contains(data, []byte("\n")) {
			want = nil
		}
		l := newLineReader(iotest.HalfReader(bytes.NewReader(data)), limit)
		for i, w := range want {
			w = strings.TrimSuffix(w, "\r")
			line, n, err := l.nextLine()
			if err != nil || n != len(w) || (n <= limit && string(line) != w) || (n > limit && line != nil) {
				t.Fatalf("line %d: %.40q of %d bytes, %v, want %.40q", i+1, line, n, err, w)
			}
		}
		if line, _, err := l.nextLine(); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %.40q, %v", line, err)
		}
	})
}

func TestLineReaderHoldsNoMoreThanALine(t *testing.T) {
	endless := io.LimitReader(zeros{}, 1<<30)
	l := newLineReader(endless, 1<<20)
	var line []byte
	var length int
	got := testing.AllocsPerRun(1, func() {
		var err error
		if line, length, err = l.nextLine(); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
	if line != nil || length > 1<<30 || got > 100 {
		t.Errorf("%d of %d bytes were kept, in %v allocations", len(line), length, got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLineParser(t *testing.T) {
	t.Parallel()
	const fresh = ": a fresh id would make another event of it each time; name the field that has its id"
	for name, test := range map[string]struct {
		line, idField, keyField string
		id, key, kind, err      string
	}{
		"id":                 {line: `{"id":"a"}`, id: "a", kind: "application/json"},
		"number":             {line: ` {"id":12345678901234567890}`, id: "12345678901234567890", kind: "application/json"},
		"exact name":         {line: `{"ID":"a"}`, kind: "application/json"},
		"no id":              {line: `{"a":"b"}`, kind: "application/json"},
		"empty id":           {line: `{"id":""}`, err: `field "id" is empty` + fresh},
		"null id":            {line: `{"id":null}`, err: `field "id" is neither a string nor a number: null` + fresh},
		"true as an id":      {line: `{"id":true}`, err: `field "id" is neither a string nor a number: true` + fresh},
		"extended JSON":      {line: `{"id":{"$oid":"65"}}`, err: `field "id" is neither a string nor a number: {"$oid":"65"}` + fresh},
		"binary id":          {line: "{\"id\":\"\xff\"}", err: `field "id" is no UTF-8: "\"\xff\""` + fresh},
		"another is asked":   {line: `{"id":null,"order":"b"}`, idField: "order", id: "b", kind: "application/json"},
		"text":               {line: `hello`},
		"array":              {line: `["id"]`},
		"broken":             {line: `{"id":"a"`},
		"two objects":        {line: `{"id":"a"}{"id":"b"}`},
		"field":              {line: `{"id":"a","order":"b"}`, idField: "order", id: "b", kind: "application/json"},
		"escapes":            {line: `{"order":"a\u0000\n\ud83d\ude00"}`, idField: "order", id: "a\x00\n😀", kind: "application/json"},
		"key":                {line: `{"id":"a","c":7}`, keyField: "c", id: "a", key: "7", kind: "application/json"},
		"field missing":      {line: `{"id":"a"}`, idField: "order", err: `it has no field "order"`},
		"field empty":        {line: `{"order":""}`, idField: "order", err: `field "order" is empty`},
		"field object":       {line: `{"order":{}}`, idField: "order", err: `field "order" is neither a string nor a number: {}`},
		"field binary":       {line: "{\"order\":\"\xff\"}", idField: "order", err: `field "order" is no UTF-8: "\"\xff\""`},
		"key null":           {line: `{"id":"a","c":null}`, keyField: "c", err: `field "c" is neither a string nor a number: null`},
		"no object, but key": {line: `7`, keyField: "c", err: "not a JSON object: it does not begin with '{'"},
	} {
		p := lineParser{topic: "t", idField: test.idField, keyField: test.keyField}
		e, err := p.parseLine([]byte(test.line), time.Now())
		if test.err != "" {
			if err == nil || err.Error() != test.err {
				t.Errorf("%s: %v, want %s", name, err, test.err)
			}
			continue
		}
		isFresh := test.id == "" && len(e.ID) == 36
		if err != nil || (e.ID != test.id && !isFresh) || e.Key != test.key || e.ContentType != test.kind || string(e.Data) != test.line {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

func FuzzLineParser(f *testing.F) {
	f.Add([]byte(`{"id":"a","k":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := (&lineParser{topic: "t"}).parseLine(line, time.Now())
		if o, _ := jsonobject.Read(line); o != "" && o.Member("id") != nil && err != nil {
			return
		}
		if err != nil || e.Validate() != nil {
			t.Errorf("%q: %v, %v: a line without an id is an event whatever it says", line, err, e.Validate())
		}
		if e, err := (&lineParser{topic: "t", idField: "id", keyField: "k"}).parseLine(line, time.Now()); err == nil && (e.ID == "" || e.Key == "") {
			t.Errorf("%q: %+v without id or key", line, e)
		}
	})
}
