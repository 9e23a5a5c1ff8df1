package log

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/handlertest"
)

// logged handles an event, and returns the record.
func logged(t *testing.T, o *Options, e bus.Event) map[string]any {
	t.Helper()
	var out bytes.Buffer
	l := New(slog.New(slog.NewJSONHandler(&out, nil)), o)
	if err := l.Handle(handlertest.Attempt(t, 2), e); err != nil {
		t.Fatal(err)
	}
	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	return record
}

func TestLog(t *testing.T) {
	t.Parallel()
	e := handlertest.Placed()
	e.Key, e.Source, e.Type, e.Time = "c1", "/shop", "placed", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got := logged(t, &Options{Level: slog.LevelWarn}, e)
	delete(got, "time")
	want := map[string]any{
		"level": "WARN", "msg": "event", "topic": "order.placed", "id": "order-17", "source": "/shop", "type": "placed", "key": "c1",
		"event_time": "2026-01-02T03:04:05Z", "content_type": "application/json", "bytes": 11.0, "attempt": 2.0,
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %v, want %v", name, got[name], value)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("also %v", got)
	}
}

func TestLogData(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("€", 1_000)
	for _, c := range []struct{ data, name, want string }{
		{"a\nb", "data", "a\nb"},
		{"", "data", ""},
		{long, "data", long[:maxLoggedBytes-maxLoggedBytes%3]},
		{"\xff" + long, "data_base64", base64.StdEncoding.EncodeToString([]byte("\xff" + long)[:maxLoggedBytes])},
		{long + "\xff", "data_base64", base64.StdEncoding.EncodeToString([]byte(long)[:maxLoggedBytes])},
	} {
		e := bus.Event{ID: "1", Topic: "t", Data: []byte(c.data)}
		if got := logged(t, &Options{Data: true}, e); got[c.name] != c.want || got["bytes"] != float64(len(c.data)) || got["event_time"] != nil {
			t.Errorf("%.20q: %v", c.data, got)
		}
		if got := logged(t, nil, e); got["data"] != nil || got["data_base64"] != nil {
			t.Errorf("data is logged unasked: %v", got)
		}
	}
}

// broken is a slog.Handler whose disk is full.
type broken struct{ slog.Handler }

var errFull = errors.New("no space left on device")

func (broken) Handle(context.Context, slog.Record) error { return errFull }

func TestLogThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := broken{slog.NewTextHandler(&bytes.Buffer{}, nil)}
	if err := New(slog.New(h), nil).Handle(handlertest.Attempt(t, 1), handlertest.Placed()); !errors.Is(err, errFull) || handlertest.MeaningOf(err) != handlertest.Unavailable {
		t.Errorf("%v", err)
	}
	if err := New(slog.New(h), &Options{Level: slog.LevelDebug}).Handle(handlertest.Attempt(t, 1), handlertest.Placed()); err != nil {
		t.Errorf("what is left out: %v", err)
	}
	if New(nil, nil).handler == nil {
		t.Error("no default")
	}
}
