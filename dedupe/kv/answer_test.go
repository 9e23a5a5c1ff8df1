package kv

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/dedupe"
)

func TestWritten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer   string
		revision uint64
		err      error
	}{
		{`{"stream":"KV_x", "seq":12}`, 12, nil},
		{`{"stream":"KV_x", "domain":"hub", "seq":18446744073709551615}`, 18446744073709551615, nil},
		{`{"seq":3,"stream":"KV_x"}`, 3, nil},
		{`{"stream":"KV_x","seq":4,"duplicate":true}`, 4, nil},
		{`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"stream":"KV_x","seq":0}`, 0, errConflict},
		{`{"stream":"KV_x","seq":7,"error":{"code":400,"err_code":10164,"description":"wrong last sequence"}}`, 0, errConflict},
		{`{"error":{"code":400,"err_code":10054,"description":"too large"}}`, 0, dedupe.ErrKeyRefused},
		{`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}`, 0, dedupe.ErrFull},
		{`{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}`, 0, dedupe.ErrFull},
		{`{"error":{"code":500,"err_code":10047,"description":"insufficient storage"}}`, 0, dedupe.ErrFull},
		{`{"error":{"code":400,"err_code":10166,"description":"per-message TTL is disabled"}}`, 0, ErrBucketUnfit},
		{`{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`, 0, ErrNoBucket},
	} {
		revision, err := parsePublishAck(&nats.Msg{Data: []byte(c.answer)})
		if revision != c.revision || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v, want %d, %v", c.answer, revision, err, c.revision, c.err)
		}
	}
	for _, answer := range []string{"", "{}", "x", `{"stream":"s"}`, `{"stream":"s","seq":0}`, `{"error":{"err_code":1,"description":"?"}}`} {
		if revision, err := parsePublishAck(&nats.Msg{Data: []byte(answer)}); err == nil {
			t.Errorf("%s: revision %d, want an error", answer, revision)
		}
	}
	if _, err := parsePublishAck(&nats.Msg{Header: nats.Header{"Status": {"503"}}}); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("no responders: %v, want ErrNoAnswer", err)
	}
}

func FuzzWritten(f *testing.F) {
	f.Add([]byte(`{"stream":"KV_x","seq":012}`))
	f.Add([]byte(`{"error":{"err_code":10071}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if revision, err := parsePublishAck(&nats.Msg{Data: data}); err == nil && revision == 0 {
			t.Errorf("%q is read as a write without a revision", data)
		}
	})
}

func FuzzRead(f *testing.F) {
	hdrs := base64.StdEncoding.EncodeToString([]byte("NATS/1.0\r\nKV-Operation: DEL\r\n\r\n"))
	f.Add([]byte(`{"message":{"seq":1,"hdrs":"` + hdrs + `","data":"e30=","time":"2026-01-02T03:04:05.1Z"}}`))
	f.Add([]byte(`{"error":{"err_code":10037}}`))
	f.Add([]byte(`{"message":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := parseMessage(&nats.Msg{Data: data}); err == nil && got.revision == 0 {
			t.Errorf("%q is read as a message without a revision", data)
		}
	})
}
