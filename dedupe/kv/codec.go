package kv

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/onceish/onceish/dedupe"
)

// version is written into every value. A reader that finds a higher one leaves the key alone.
const version = 1

// errNewer: the value was written by a later version of this package, and is left to processes of
// that version.
var errNewer = errors.New("value of a newer version")

// encodeRow writes a row as JSON, so that `nats kv get` shows an operator what is known. It is
// written by hand because each event costs two of them.
func (r *keyRow) encodeRow() []byte {
	b := make([]byte, 0, 192+len(r.Reason))
	b = append(b, `{"v":1,"state":"`...)
	b = append(b, r.Phase.String()...)
	b = append(b, '"')
	b = appendText(b, "owner", r.Owner)
	if r.Token != 0 {
		b = strconv.AppendUint(append(b, `,"token":`...), r.Token, 10)
	}
	b = appendSpan(b, "span", max(0, r.Span))
	b = appendSpan(b, "ttl", max(1, r.TTL)) // what has none is over at once
	if !r.Since.IsZero() {
		b = append(b, `,"since":"`...)
		b = append(r.Since.UTC().AppendFormat(b, time.RFC3339Nano), '"')
	}
	if len(r.Hash) > 0 {
		b = append(b, `,"hash":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, r.Hash), '"')
	}
	b = appendCount(b, "attempts", r.Attempts)
	b = appendCount(b, "crashes", r.Crashes)
	b = appendText(b, "reason", r.Reason)
	b = appendText(b, "letter", r.Letter)
	b = appendText(b, "note", r.Note)
	b = appendHistory(b, r.History)
	if r.Spare > 0 {
		b = append(append(appendName(b, "spare"), spareText[:min(r.Spare, len(spareText))]...), '"')
	}
	return append(b, '}')
}

const spareText = "................................................................................................................................"

func appendSpan(b []byte, name string, d time.Duration) []byte {
	if d == 0 {
		return b
	}
	return append(append(appendName(b, name), d.String()...), '"')
}

func appendCount(b []byte, name string, n int) []byte {
	if n == 0 {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendInt(b, int64(n), 10)
}

func appendText(b []byte, name, s string) []byte {
	switch {
	case s == "":
		return b
	case needsNoEscape(s):
		return append(append(appendName(b, name), s...), '"')
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	quoted, err := jsonText(s).MarshalJSON()
	if err != nil { // a string and a list of bytes always marshal
		return append(b, `""`...)
	}
	return append(b, quoted...)
}

func appendName(b []byte, name string) []byte {
	return append(append(append(b, `,"`...), name...), `":"`...)
}

// needsNoEscape strings stand for themselves between quotes.
func needsNoEscape(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// jsonText is a string of any bytes: one that is not UTF-8 is a list of its bytes in base64.
type jsonText string

func (t jsonText) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal([][]byte{[]byte(t)})
}

func (t *jsonText) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '[' {
		return json.Unmarshal(data, (*string)(t))
	}
	var raw [][]byte
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if len(raw) != 1 {
		return fmt.Errorf("%d strings, want one", len(raw))
	}
	*t = jsonText(raw[0])
	return nil
}

// jsonDuration is a time.Duration as its String tells it.
type jsonDuration time.Duration

func (s jsonDuration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).String()) }

func (s *jsonDuration) UnmarshalJSON(data []byte) error {
	var str string
	if err := json.Unmarshal(data, &str); err != nil {
		return err
	}
	d, err := time.ParseDuration(str)
	*s = jsonDuration(d)
	return err
}

type stateValue struct {
	V        int          `json:"v"`
	State    string       `json:"state"`
	Owner    jsonText     `json:"owner"`
	Token    uint64       `json:"token"`
	Span     jsonDuration `json:"span"`
	TTL      jsonDuration `json:"ttl"`
	Since    time.Time    `json:"since"`
	Hash     []byte       `json:"hash"`
	Attempts int          `json:"attempts"`
	Crashes  int          `json:"crashes"`
	Reason   jsonText     `json:"reason"`
	Letter   jsonText     `json:"letter"`
	Note     jsonText     `json:"note"`

	History json.RawMessage `json:"history"`
}

// decodeRow reads what encode wrote. Its error is errNewer, or ErrForeignValue.
func decodeRow(data []byte) (*keyRow, error) {
	var v stateValue
	if err := decodeValue(data, &v, &v.V); err != nil {
		return nil, err
	}
	phase, ok := dedupe.ParsePhase(v.State)
	switch {
	case v.State == "":
		return nil, fmt.Errorf("%w: no state in it", ErrForeignValue)
	case !ok:
		return nil, fmt.Errorf("%w: its state is %.32q", errNewer, v.State)
	}
	since := v.Since.UTC()
	if since.Year() < 1 || since.Year() > 9999 {
		return nil, fmt.Errorf("%w: since is %v", ErrForeignValue, since)
	}
	if v.Span < 0 || v.TTL <= 0 || v.Attempts < 0 || v.Crashes < 0 {
		return nil, fmt.Errorf("%w: a number in it is negative, or ttl is missing", ErrForeignValue)
	}
	return &keyRow{
		Phase: phase, Owner: string(v.Owner), Token: v.Token, Span: time.Duration(v.Span), TTL: time.Duration(v.TTL),
		Since: since, Hash: v.Hash, Attempts: v.Attempts, Crashes: v.Crashes, Reason: string(v.Reason), Letter: string(v.Letter),
		Note: string(v.Note), History: decodeHistory(v.History),
	}, nil
}

// decodeValue reads a value of this version into v, whose field V is at got.
func decodeValue(data []byte, v any, got *int) error {
	err := json.Unmarshal(data, v)
	if err == nil && *got == version {
		return nil
	}
	var only struct {
		V int `json:"v"`
	}
	if json.Unmarshal(data, &only) == nil && only.V > version {
		return fmt.Errorf("%w: its version is %d, this one knows %d", errNewer, only.V, version)
	}
	if err == nil {
		err = errors.New("no version in it")
	}
	return fmt.Errorf("%w: %w", ErrForeignValue, err)
}
