package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/handlertest"
)

func TestAfter(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		`"30s"`: 30 * time.Second, `1.5`: 1500 * time.Millisecond, `0`: 0, `1e300`: math.MaxInt64,
	} {
		if got, err := parseAfter([]byte(text)); got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{`-1`, `"-1s"`, `"soon"`, `{}`, `"30"`, `true`} {
		if got, err := parseAfter([]byte(text)); err == nil || !strings.Contains(err.Error(), "seconds") {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"delivery":1,"status":"done"}`))
	f.Add([]byte(`{"delivery":2,"status":"retry","reason":"a\nb","after":"30s"}`))
	f.Add([]byte(`{"delivery":18446744073709551616,"status":"retry","after":-1}`))
	f.Add([]byte(`{"delivery":2,"status":"throttled","after":"30s"}`))
	f.Add([]byte(`{"delivery":2,"status":"unavailable","after":"soon"}`))
	f.Add([]byte(`{"delivery":3,"status":"permanent","reason":{"a":1}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		a, err := parseAnswer(line)
		if err != nil {
			if said := notAnAnswerError(line, err).Error(); !utf8.ValidString(said) && utf8.Valid(line) || strings.ContainsAny(said, "\x00\n\x1b") {
				t.Errorf("%q is not for a log", said)
			}
			return
		}
		if a.Delivery == 0 || !json.Valid(line) {
			t.Errorf("%s is no answer", line)
		}
		err = a.toVerdict()
		if handlertest.MeaningOf(err) != a.Status {
			t.Errorf("%s: %v", line, err)
		}
	})
}

// What a command reads is what was published: one line of JSON, the data unchanged, or base64 where
// it is no JSON.
func FuzzEventLine(f *testing.F) {
	f.Add("id", "t", "key", "text/plain", "Header", []byte("plain\n"), uint64(1))
	f.Add("\x00\xff<&>", "t", "", "", "\xfe", []byte("{\"a\": [1,\n 2e400], \"\xff\": \"\u2028\"}"), uint64(math.MaxUint64))
	f.Add("id", "t", "", "application/json", "", []byte(`{ "n": 12345678901234567890.10, "s": "\u0000é<" }`), uint64(9))
	f.Add("id", "t", "", "", "", []byte("null"), uint64(9))
	f.Fuzz(func(t *testing.T, id, topic, key, contentType, header string, data []byte, number uint64) {
		e := bus.Event{ID: id, Topic: topic, Key: key, ContentType: contentType, Data: data, Headers: bus.Headers{header: {id, key}}, Time: time.Unix(1, 5)}
		rest, err := encodeEvent(consumer.WithAttempt(context.Background(), consumer.Attempt{Number: 2, Token: number, IdempotencyKey: "i"}), &e, "g")
		if err != nil {
			t.Fatal(err)
		}
		line := withDelivery(nil, number, 0, 0, rest)
		if bytes.IndexByte(line, '\n') != len(line)-1 || !utf8.Valid(line) {
			t.Fatalf("%q is not one line", line)
		}
		var got struct {
			streamLine

			Delivery uint64 `json:"delivery"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		valid := func(s string) string { return string([]rune(s)) }
		if got.Delivery != number || got.Token != number || got.Attempt != 2 || got.IdempotencyKey != "i" || got.ID != valid(id) || got.Topic != valid(topic) ||
			got.Key != valid(key) || got.DataContentType != valid(contentType) || got.Group != "g" || got.Time != "1970-01-01T00:00:01.000000005Z" {
			t.Errorf("%+v", got)
		}
		if vs := got.Headers[valid(header)]; len(vs) != 2 || vs[0] != valid(id) || vs[1] != valid(key) {
			t.Errorf("headers %q", got.Headers)
		}
		var compact bytes.Buffer
		isJSON := utf8.Valid(data) && json.Compact(&compact, data) == nil
		if isJSON && (got.DataBase64 != nil || !bytes.Equal(got.Data, compact.Bytes())) || !isJSON && (got.Data != nil || !bytes.Equal(got.DataBase64, data)) {
			t.Errorf("%q became %q or %q", data, got.Data, got.DataBase64)
		}
	})
}

func TestRememberedKeysAreBounded(t *testing.T) {
	t.Parallel()
	var s rememberedKeys
	for i := range maxRemembered + 1 {
		s.addKey(string(rune('a' + i)))
		s.addKey(string(rune('a' + i)))
	}
	if s.hasKey("a") || !s.hasKey("b") || len(s.known) != maxRemembered || s.order.Len() != maxRemembered {
		t.Errorf("%d suspects", len(s.known))
	}
	s.takeKey("b")
	s.takeKey("b")
	if s.hasKey("b") {
		t.Error("not forgotten")
	}
}
