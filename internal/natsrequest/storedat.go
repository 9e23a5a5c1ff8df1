package natsrequest

import (
	"bytes"
	"strconv"
)

// StoredAt reads the sequence in the confirmation of a stream as servers write it nearly always
// (those before 2.12 with spaces), without decoding it: not that of a duplicate, nor an error.
func StoredAt(data []byte) (sequence uint64, ok bool) {
	rest, ok := quickField(data, `{"stream":"`)
	if !ok {
		return 0, false
	}
	if behind, ok := quickField(rest, `"domain":"`); ok {
		rest = behind
	}
	rest, ok = bytes.CutPrefix(rest, []byte(`"seq":`))
	n := len(rest) - 1
	if !ok || n < 1 || rest[n] != '}' || rest[0] == '0' {
		return 0, false
	}
	sequence, err := strconv.ParseUint(string(rest[:n]), 10, 64)
	return sequence, err == nil
}

// quickField is what follows a member of a JSON object, the value of which is not empty and
// needs no decoding.
func quickField(data []byte, begins string) (rest []byte, ok bool) {
	data, ok = bytes.CutPrefix(data, []byte(begins))
	end := bytes.IndexAny(data, `"\`)
	if !ok || end < 1 || !bytes.HasPrefix(data[end:], []byte(`",`)) {
		return nil, false
	}
	return bytes.TrimPrefix(data[end+len(`",`):], []byte(" ")), true
}
