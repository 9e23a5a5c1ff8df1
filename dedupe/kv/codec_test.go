package kv

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

func TestRowIsReadable(t *testing.T) {
	t.Parallel()
	r := keyRow{
		Phase: dedupe.PhaseDeadLettering, Owner: "n1", Token: 7, Span: 30 * time.Second, TTL: time.Hour, Since: time.Unix(0, 1).UTC(),
		Hash: []byte{1, 2}, Attempts: 3, Crashes: 1, Reason: "a \"b\"\n", Letter: "l\xff",
		History: []dedupe.Attempt{{
			Number: 3, Ended: time.UnixMilli(1).UTC(), Took: 1500 * time.Millisecond, Process: "host/7", Token: 1 << 60, Sequence: 1<<53 + 1, Error: "a \"b\"",
		}, {}},
	}
	want := `{"v":1,"state":"dead-lettering","owner":"n1","token":7,"span":"30s","ttl":"1h0m0s","since":"1970-01-01T00:00:00.000000001Z",` +
		`"hash":"AQI=","attempts":3,"crashes":1,"reason":"a \"b\"\n","letter":["bP8="],` +
		`"history":[{"number":3,"ended":"1970-01-01T00:00:00.001Z","took":"1.5s","process":"host/7","token":1152921504606846976,` +
		`"sequence":9007199254740993,"error":"a \"b\""},{}]}`
	if got := string(r.encodeRow()); got != want {
		t.Errorf("row is kept as\n%s, want\n%s", got, want)
	}
}

func FuzzRow(f *testing.F) {
	f.Add("claimed", "nonce", uint64(0), int64(time.Minute), int64(time.Hour), int64(0), []byte("hash"), 0, 0, "", "", 0)
	f.Add("dead-lettering", "\xff", uint64(9), int64(1), int64(1), int64(1), []byte{}, 1, 2, "\u2028<&>\x00", "\"\\", 10)
	f.Fuzz(func(t *testing.T, p, owner string, token uint64, span, ttl, since int64, hash []byte, attempts, crashes int, reason, letter string, failed int) {
		phase, ok := dedupe.ParsePhase(p)
		if !ok {
			phase = dedupe.PhaseClaimed
		}
		r := keyRow{
			Phase: phase, Owner: owner, Token: token, Span: time.Duration(span), TTL: time.Duration(ttl),
			Attempts: attempts, Crashes: crashes, Reason: reason, Letter: letter,
		}
		if len(hash) > 0 {
			r.Hash = hash
		}
		if since != 0 {
			r.Since = time.Unix(0, since).UTC()
		}
		r.Attempts, r.Crashes = max(0, attempts), max(0, crashes)
		for n := range min(max(0, failed), dedupe.MaxHistory+1) {
			r.History = dedupe.AppendAttempt(r.History, &dedupe.Attempt{
				Number: n - 1, Ended: time.Unix(0, ttl), Took: time.Duration(span), Process: owner, Token: token, Sequence: uint64(since), Error: reason,
			})
		}
		got, err := decodeRow(r.encodeRow())
		if err != nil {
			t.Fatalf("%s: %v", r.encodeRow(), err)
		}
		r.Span, r.TTL = max(0, r.Span), max(1, r.TTL)
		if !reflect.DeepEqual(*got, r) {
			t.Errorf("%+v comes back as %+v", r, *got)
		}
	})
}

func FuzzDecodeRow(f *testing.F) {
	for _, s := range []string{
		"", "null", "0", "{}", `{"v":1}`, `{"v":1,"state":"done"}`, `{"v":1,"state":"done","ttl":"1s"}`, `{"v":2}`, `{"v":1.5}`, "\x00",
		`{"v":1,"state":"done","ttl":"-1s"}`, `{"v":1,"state":"done","ttl":"1s","owner":[]}`, `{"v":2,"state":3}`, "[]", "hello",
		`{"v":1,"state":"done","ttl":"1s","attempts":-1}`, `{"v":1,"state":"done","ttl":"1s","since":"9999-12-31T23:59:59-01:00"}`,
		`{"v":1,"state":"done","ttl":"1s","history":[{"number":1,"ended":"0000-01-01T00:00:00+01:00","error":"\ud800"},{"took":"x"}]}`,
		`{"v":1,"state":"done","ttl":"1s","history":[{"number":1,"later":true,"took":"-1ns","error":"e"}]}`, `{"v":1,"state":"done","ttl":"1s","history":7}`,
		`{"v":1,"state":"done","ttl":"1s","since":"2026-01-02T03:04:05+01:00"}`, `{"v":1,"streams":[{"stream":"s","seq":1,"stored":"2026-01-02T03:04:05Z"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeRow(data)
		switch {
		case err == nil:
			if again, err := decodeRow(r.encodeRow()); err != nil || !reflect.DeepEqual(again, r) {
				t.Errorf("%s is read as %+v, and that as %+v, %v", data, r, again, err)
			}
		case !errors.Is(err, ErrForeignValue) && !errors.Is(err, errNewer):
			t.Errorf("%q: %v: neither foreign nor newer", data, err)
		}
		if _, err := decodeWatermarks(data); err != nil && !errors.Is(err, ErrForeignValue) && !errors.Is(err, errNewer) {
			t.Errorf("%q as watermarks: %v: neither foreign nor newer", data, err)
		}
	})
}

func TestDecodeRowOfNewerVersion(t *testing.T) {
	t.Parallel()
	for _, s := range []string{`{"v":2,"state":"done","ttl":"1s"}`, `{"v":3,"state":{"later":true}}`} {
		if _, err := decodeRow([]byte(s)); !errors.Is(err, errNewer) {
			t.Errorf("%s: %v, want a newer version", s, err)
		}
	}
}
