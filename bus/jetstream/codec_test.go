package jetstream

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

var somewhere = deliveryInfo{deliveryCount: 1, sequence: 7, stored: 1700000000000000001}

const position = "S:7:1700000000000000001"

func TestDecode(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 6, 7, 8, 9, 10, time.UTC)
	for _, tt := range []struct {
		name   string
		header nats.Header
		data   string
		want   bus.Event
		err    bool
	}{
		{name: "plain", data: "x", want: bus.Event{ID: position, Data: []byte("x")}},
		{
			name: "plain with a message id", header: nats.Header{"Nats-Msg-Id": {"a%20b"}, "Content-Type": {"text/plain"}}, data: "x",
			want: bus.Event{ID: "a%20b", ContentType: "text/plain", Data: []byte("x"), Headers: bus.Headers{"Content-Type": {"text/plain"}}},
		},
		{
			name:   "an extension alone is plain",
			header: nats.Header{"ce-colour": {"red"}},
			want:   bus.Event{ID: position, Headers: bus.Headers{"ce-colour": {"red"}}},
		},
		{
			name: "binary",
			header: nats.Header{
				"ce-specversion": {"1.0"}, "ce-id": {"%C3%BC%201"}, "ce-source": {"/a%22"}, "ce-type": {"t"}, "ce-time": {"2024-05-06T07:08:09.00000001Z"},
				"ce-datacontenttype": {"application/json"}, "ce-partitionkey": {"k"}, "Nats-Msg-Id": {"m"},
				"traceparent": {"00-1"}, "ce-colour": {"red%20"},
			},
			data: "{}",
			want: bus.Event{
				ID: "ü 1", Source: `/a"`, Type: "t", Time: at, ContentType: "application/json", Key: "k", Data: []byte("{}"),
				Headers: bus.Headers{"traceparent": {"00-1"}, "ce-colour": {"red%20"}},
			},
		},
		{
			name:   "binary in other letters",
			header: nats.Header{"CE-ID": {"1"}, "Ce-Source": {"s"}, "NATS-MSG-ID": {"m"}, "X": {"y"}},
			want:   bus.Event{ID: "1", Source: "s", Headers: bus.Headers{"X": {"y"}}},
		},
		{
			name:   "of several spellings the usual one counts",
			header: nats.Header{"CE-ID": {"1"}, "ce-id": {"2"}, "Ce-Id": {"3"}, "CE-Type": {"b"}, "CE-TYPE": {"a"}},
			want:   bus.Event{ID: "2", Type: "a", Headers: bus.Headers{}},
		},
		{
			name:   "what is no encoding is taken literally",
			header: nats.Header{"ce-id": {"100%"}, "ce-type": {"%zz"}, "ce-time": {"yesterday"}},
			want:   bus.Event{ID: "100%", Type: "%zz"},
		},
		{
			name:   "an overlong encoding is malformed",
			header: nats.Header{"ce-id": {"a%C0%A0b"}, "ce-type": {"t"}},
			want:   bus.Event{ID: position, Type: "t"}, err: true,
		},
		{
			name:   "what decodes to no UTF-8 is malformed",
			header: nats.Header{"ce-id": {"1"}, "ce-source": {"%FF"}},
			want:   bus.Event{ID: position, Source: "%FF"}, err: true,
		},
		{
			name:   "quoted values",
			header: nats.Header{"ce-id": {`"a b"`}, "ce-source": {`"say \"x\" \\ %20"`}, "ce-type": {`"`}, "ce-partitionkey": {`"open\"`}},
			want:   bus.Event{ID: "a b", Source: `say "x" \  `, Type: `"`, Key: `"open\"`},
		},
		{
			name:   "the content type of binary mode without its attribute",
			header: nats.Header{"ce-id": {"1"}, "Content-Type": {"text/plain"}}, data: "x",
			want: bus.Event{ID: "1", ContentType: "text/plain", Data: []byte("x"), Headers: bus.Headers{"Content-Type": {"text/plain"}}},
		},
		{
			name: "structured without the format", header: nats.Header{"Content-Type": {"application/cloudevents; charset=UTF-8"}}, data: `{"id":"1","data":1}`,
			want: bus.Event{ID: "1", ContentType: "application/json", Data: []byte("1"), Headers: bus.Headers{}},
		},
		{
			name:   "what is no UTF-8 is encoded",
			header: nats.Header{"ce-id": {"\xff 1"}},
			want:   bus.Event{ID: "%FF%201"},
		},
		{
			name:   "an empty id is malformed",
			header: nats.Header{"ce-id": {""}, "ce-type": {"t"}, "X": {"y"}}, data: "x",
			want: bus.Event{ID: position, Type: "t", Data: []byte("x"), Headers: bus.Headers{"X": {"y"}}}, err: true,
		},
		{
			name: "no id is malformed", header: nats.Header{"ce-specversion": {"1.0"}, "Nats-Msg-Id": {"m"}},
			want: bus.Event{ID: position}, err: true,
		},
		{
			name:   "structured",
			header: nats.Header{"content-type": {"Application/CloudEvents+JSON; charset=utf-8"}, "traceparent": {"00-1"}},
			data: `{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2024-05-06T07:08:09.00000001Z","partitionkey":"k",
				"colour":"dark red","size":3,"on":true,"none":null,"data":{"a": 1}}`,
			want: bus.Event{
				ID: "1", Source: "s", Type: "t", Time: at, Key: "k", ContentType: "application/json", Data: []byte(`{"a": 1}`),
				Headers: bus.Headers{"traceparent": {"00-1"}, "ce-colour": {"dark%20red"}, "ce-size": {"3"}, "ce-on": {"true"}},
			},
		},
		{
			name: "structured with bytes", header: structuredHeader(),
			data: `{"id":"1","datacontenttype":"image/png","data_base64":"AAH/"}`,
			want: bus.Event{ID: "1", ContentType: "image/png", Data: []byte{0, 1, 255}, Headers: bus.Headers{}},
		},
		{
			name: "structured with text", header: structuredHeader(),
			data: `{"id":"1","datacontenttype":"text/plain","data":"a\nb"}`,
			want: bus.Event{ID: "1", ContentType: "text/plain", Data: []byte("a\nb"), Headers: bus.Headers{}},
		},
		{
			name: "structured with a JSON string", header: structuredHeader(),
			data: `{"id":"1","datacontenttype":"application/x+json; v=1","data":"a"}`,
			want: bus.Event{ID: "1", ContentType: "application/x+json; v=1", Data: []byte(`"a"`), Headers: bus.Headers{}},
		},
		{
			name: "structured without data", header: structuredHeader(), data: `{"id":"1"}`,
			want: bus.Event{ID: "1", Headers: bus.Headers{}},
		},
		malformedCase("no JSON", `{"id":"1"`),
		malformedCase("no object", `["id"]`),
		malformedCase("null", `null`),
		malformedCase("an empty id", `{"id":"","data":1}`),
		malformedCase("an id that is a number", `{"id":1}`),
		malformedCase("data twice", `{"id":"1","data":1,"data_base64":"AA=="}`),
		malformedCase("bad base64", `{"id":"1","data_base64":"!"}`),
		{
			name: "another format is malformed", header: nats.Header{"Content-Type": {"application/cloudevents-batch+json"}}, data: "[]",
			want: bus.Event{ID: position, ContentType: "application/cloudevents-batch+json", Data: []byte("[]"), Headers: bus.Headers{}}, err: true,
		},
		{
			name:   "commands to the server are left out, where it was republished from is not",
			header: nats.Header{"Nats-TTL": {"1s"}, "nats-expected-stream": {"S"}, "Nats-Schedule": {"@at"}, "Nats-Stream": {"S"}, "Nats-Sequence": {"1"}},
			want:   bus.Event{ID: position, Headers: bus.Headers{"Nats-Stream": {"S"}, "Nats-Sequence": {"1"}}},
		},
		{
			name:   "what could not be published again is encoded",
			header: nats.Header{"a b": {"v "}, "c": {"\tx\ry"}},
			want:   bus.Event{ID: position, Headers: bus.Headers{"a%20b": {"v"}, "c": {"x y"}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := &nats.Msg{Subject: "orders.new", Header: tt.header, Data: []byte(tt.data)}
			got, err := decodeMessage(m, "S", somewhere, false)
			if (err != nil) != tt.err {
				t.Errorf("malformed: %v; want %v", err, tt.err)
			}
			tt.want.Topic = "orders.new"
			if len(got.Data) == 0 && len(tt.want.Data) == 0 {
				got.Data, tt.want.Data = nil, nil
			}
			if len(got.Headers) == 0 && len(tt.want.Headers) == 0 {
				got.Headers, tt.want.Headers = nil, nil
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("decoded\n%+v\nwant\n%+v", got, tt.want)
			}
		})
	}
}

// The CloudEvents SDK for Go writes structured mode on NATS without a header.
func TestEnvelopesAreRecognisedWhereTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	const envelope = ` {"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":1}}`
	for name, c := range map[string]struct {
		data   string
		header nats.Header
		asked  bool
		want   string
	}{
		"asked for":          {envelope, nil, true, "1"},
		"not asked for":      {envelope, nil, false, position},
		"no source":          {`{"specversion":"1.0","id":"1","type":"t"}`, nil, true, position},
		"no object":          {`[` + envelope + `]`, nil, true, position},
		"a header says JSON": {envelope, nats.Header{contentType: {"application/json"}}, true, position},
		"binary mode":        {envelope, nats.Header{"ce-id": {"2"}}, true, "2"},
	} {
		e, err := decodeMessage(&nats.Msg{Subject: "t", Header: c.header, Data: []byte(c.data)}, "S", somewhere, c.asked)
		if err != nil || e.ID != c.want {
			t.Errorf("%s: %+v, %v; want the ID %q", name, e, err, c.want)
		}
		if c.want == "1" && (e.Source != "s" || string(e.Data) != `{"a":1}`) {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

type decodeCase = struct {
	name   string
	header nats.Header
	data   string
	want   bus.Event
	err    bool
}

func structuredHeader() nats.Header {
	return nats.Header{contentType: {"application/cloudevents+json"}}
}

// malformedCase is a structured event that cannot be read: its bytes and what they
// claim to be stay.
func malformedCase(name, data string) decodeCase {
	return decodeCase{
		name: name + " is malformed", header: structuredHeader(), data: data, err: true,
		want: bus.Event{ID: position, ContentType: "application/cloudevents+json", Data: []byte(data), Headers: bus.Headers{}},
	}
}

// Whatever arrives is an event that can be published again, and arrives the same then.
func FuzzDecode(f *testing.F) {
	f.Add("ce-id", "1", "Content-Type", "application/cloudevents+json", []byte(`{"id":"1","data":{}}`))
	f.Add("ce-id", "\xff", "ce-type", "\xff%41", []byte("x"))
	f.Add("CE-Id", "%41%", "Nats-TTL", "1s", []byte("x"))
	f.Add("ce-specversion", "1.0", "a b", " v\r", []byte(nil))
	f.Add("ce-id", "1", "ce-time", "2024-05-06T07:08:09+23:59", []byte(nil))
	f.Add("Content-Type", "application/cloudevents+json", "ce-id", "2", []byte(`{"id":"ü","a b":"\ud800","ID":"x","datacontenttype":"t","data":"\n"}`))
	f.Add("ce-id", "\"a\\\"%20\"", "ce-source", "%C0%A0", []byte(nil))
	f.Add("ce-id", "1", "Content-Type", "text/plain", []byte("x"))
	f.Add("X", "1", "Content-Type", "application/cloudevents", []byte(`{"id":"1"}`))
	f.Add("X", "1", "Y", "2", []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","x":"y"}`))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string, data []byte) {
		wire := nats.Header{}
		for name, value := range map[string]string{name1: value1, name2: value2} {
			if name != "" && !strings.ContainsAny(name, ":\n") && !strings.Contains(value, "\n") {
				wire[name] = []string{value}
			}
		}
		first, err := decodeMessage(&nats.Msg{Subject: "t", Header: wire, Data: slices.Clone(data)}, "S", somewhere, len(data)%2 == 0)
		if first.ID == "" || err != nil && first.ID != position {
			t.Fatalf("ID %q, malformed %v", first.ID, err)
		}
		if err != nil && !bytes.Equal(first.Data, data) {
			t.Fatalf("malformed, and its data %q became %q", data, first.Data)
		}
		if !utf8.ValidString(first.ID + first.Type + first.Source + first.Key + first.ContentType) {
			t.Fatalf("%+v has an attribute that is no UTF-8", first)
		}
		m, err := newEncoder("imported.API.").encode(&first)
		if err != nil {
			t.Fatalf("%+v cannot be published again: %v", first, err)
		}
		again, err := decodeMessage(m, "S", somewhere, false)
		if err != nil {
			t.Fatalf("%+v is malformed the second time: %v", first, err)
		}
		first.Source, first.Type = cmp.Or(first.Source, bus.DefaultSource), cmp.Or(first.Type, first.Topic)
		sameTime := first.Time.Equal(again.Time)
		first.Time, again.Time = time.Time{}, time.Time{}
		if sameHeaders := maps.EqualFunc(first.Headers, again.Headers, slices.Equal); !sameHeaders || !sameTime {
			t.Fatalf("headers %q or time changed to %q", first.Headers, again.Headers)
		}
		first.Headers, again.Headers = nil, nil
		if !reflect.DeepEqual(first, again) {
			t.Fatalf("published again,\n%+v became\n%+v", first, again)
		}
	})
}

func TestEncode(t *testing.T) {
	t.Parallel()
	e := bus.Event{
		ID: "ü 1", Topic: "orders.new", Key: "k%", Time: time.Date(2024, 5, 6, 9, 8, 9, 10, time.FixedZone("", 7200)),
		ContentType: "a/b; c=\"d\"", Headers: bus.Headers{"traceparent": {"00-1"}, "X": {"1", "2"}},
	}
	m, err := newEncoder("imported.API.").encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	want := nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"%C3%BC%201"}, "ce-source": {"onceish"}, "ce-type": {"orders.new"}, "ce-partitionkey": {"k%25"},
		"ce-time": {"2024-05-06T07:08:09.00000001Z"}, "ce-datacontenttype": {"a/b;%20c=%22d%22"}, "Nats-Msg-Id": {bus.MessageID(&e)},
		"traceparent": {"00-1"}, "X": {"1", "2"},
	}
	if !reflect.DeepEqual(m.Header, want) {
		t.Errorf("headers\n%q\nwant\n%q", m.Header, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for _, h := range []bus.Headers{
		{"ce-id": {"1"}},
		{"CE-Time": {"1"}},
		{"Nats-TTL": {"1s"}},
		{"nats-msg-id": {"1"}},
		{"Nats-Rollup": {"all"}},
		{"content-type": {" Application/CloudEvents+json"}},
		{"a:b": {"1"}},
		{"": {"1"}},
		{"a": {"b\nc"}},
		{"a": {"b\r"}},
		{"a": {" b"}},
		{"a": {"b", "c "}},
	} {
		if _, err := newEncoder("imported.API.").encode(&bus.Event{ID: "1", Topic: "t", Headers: h}); !errors.Is(err, bus.ErrInvalidEvent) {
			t.Errorf("headers %q: %v; want ErrInvalidEvent", h, err)
		}
	}
	for _, topic := range []string{"$JS.API.STREAM.DELETE.ORDERS", "$KV.onceish-dedupe.mark", "$", "imported.API.STREAM.DELETE.ORDERS"} {
		if _, err := newEncoder("imported.API.").encode(&bus.Event{ID: "1", Topic: topic}); !errors.Is(err, bus.ErrInvalidEvent) {
			t.Errorf("topic %q: %v; want ErrInvalidEvent", topic, err)
		}
	}
	for _, e := range []bus.Event{{ID: "\xff"}, {ID: "1", Key: "\xff"}, {ID: "1", Type: "\xc3"}, {}} {
		e.Topic = "t"
		if _, err := newEncoder("imported.API.").encode(&e); !errors.Is(err, bus.ErrInvalidEvent) {
			t.Errorf("%+v: %v; want ErrInvalidEvent", e, err)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a b", "%", "%41", "\"", "ü", "\xff", "a\x00\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := escape(s)
		for i := range len(e) {
			if c := e[i]; c <= ' ' || c >= 0x7f || c == '"' {
				t.Fatalf("escape(%q) = %q", s, e)
			}
		}
		if got, ok := unescape(unquote(e)); utf8.ValidString(s) && (got != s || !ok) {
			t.Fatalf("unescape(escape(%q)) = %q, %v", s, got, ok)
		}
		if got, ok := unescape(unquote(s)); ok && utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Fatalf("unescape(%q) = %q, which is no UTF-8", s, got)
		}
	})
}

func TestParseReply(t *testing.T) {
	t.Parallel()
	want := deliveryInfo{deliveryCount: 3, sequence: 12, stored: 1700000000000000001}
	for _, subject := range []string{
		"$JS.ACK.S.C.3.12.9.1700000000000000001.5",
		"$JS.ACK._.hash.S.C.3.12.9.1700000000000000001.5",
		"$JS.ACK.domain.hash.S.C.3.12.9.1700000000000000001.5.more",
		"$JS.ACK.domain.hash.S.C.3.12.9.1700000000000000001.5.more.yet",
	} {
		if got, ok := parseAckSubject(subject); !ok || got != want {
			t.Errorf("parseReply(%q) = %+v, %v; want %+v", subject, got, ok, want)
		}
	}
	for _, subject := range []string{
		"", "$JS.ACK.", "_INBOX.x", "$JS.ACK.S.C.3.12.9.1700000000000000001", "$JS.ACK.S.C.3.12.9.1.5.6", "$JS.ACK.S.C.x.12.9.1.5",
		"$JS.ACK.S.C..12.9.1.5", "$JS.ACK.S.C.3.-1.9.1.5", "$JS.ACK.S.C.0.12.9.1.5", "$JS.ACK.S.C.3.0.9.1.5",
		"$JS.ACK.S.C.3.12.9.9223372036854775808.5", "$JS.ACK.S.C.3.99999999999999999999.9.1.5",
	} {
		if got, ok := parseAckSubject(subject); ok {
			t.Errorf("parseReply(%q) = %+v; want it refused", subject, got)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add("S", "C", uint64(1), uint64(2), uint64(3), int64(4), true)
	f.Fuzz(func(t *testing.T, stream, consumer string, delivered, sequence, consumed uint64, stored int64, long bool) {
		_, _ = parseAckSubject(stream)
		_, _ = parseAckSubject(ackPrefix + consumer)
		if delivered == 0 || sequence == 0 || stored < 0 || max(delivered, sequence, consumed) >= 1<<63 || strings.Contains(stream+consumer, ".") {
			return
		}
		prefix := ackPrefix
		if long {
			prefix += "_.hash."
		}
		subject := fmt.Sprintf("%s%s.%s.%d.%d.%d.%d.0", prefix, stream, consumer, delivered, sequence, consumed, stored)
		if got, ok := parseAckSubject(subject); !ok || got != (deliveryInfo{delivered, sequence, stored}) {
			t.Fatalf("parseReply(%q) = %+v, %v", subject, got, ok)
		}
	})
}

func TestConfirmation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		m    nats.Msg
		want bus.Receipt
		err  error
	}{
		{m: nats.Msg{Data: []byte(`{"stream":"S","seq":12}`)}, want: bus.Receipt{Sequence: 12}},
		{m: nats.Msg{Data: []byte(`{"stream":"S","domain":"d","seq":12}`)}, want: bus.Receipt{Sequence: 12}},
		{m: nats.Msg{Data: []byte(`{"stream":"S", "seq":12}`)}, want: bus.Receipt{Sequence: 12}},
		{m: nats.Msg{Data: []byte(`{"stream":"S", "domain":"d", "seq":12}`)}, want: bus.Receipt{Sequence: 12}},
		{m: nats.Msg{Data: []byte(`{"stream":"S", "seq":12,"duplicate": true}`)}, want: bus.Receipt{Sequence: 12, Duplicate: true}},
		{m: nats.Msg{Header: nats.Header{"Status": {"503"}}}, err: bus.ErrNoStream},
		{m: nats.Msg{Data: []byte(`{"error":{"code":400,"err_code":10054,"description":"x"}}`)}, err: bus.ErrTooLarge},
		{m: nats.Msg{Data: []byte(`{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}`)}, err: errAny},
		{m: nats.Msg{Data: []byte(`thanks`)}, err: errAny},
		{m: nats.Msg{Data: []byte(`{}`)}, err: errAny},
		{m: nats.Msg{}, err: errAny},
	} {
		got := parseConfirmation("orders.new", &tt.m)
		if tt.err == nil && got != tt.want {
			t.Errorf("%q: %+v; want %+v", tt.m.Data, got, tt.want)
		}
		if tt.err != nil && (got.Err == nil || !errors.Is(tt.err, errAny) && !errors.Is(got.Err, tt.err) || !strings.Contains(got.Err.Error(), "orders.new")) {
			t.Errorf("%q: %v; want %v that names the topic", tt.m.Data, got.Err, tt.err)
		}
	}
}

var errAny = errors.New("any error")
