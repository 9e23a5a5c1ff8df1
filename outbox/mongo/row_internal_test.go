package mongo

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/serverclock"
	"github.com/onceish/onceish/outbox"
)

// A parked row's id is its own: no event has it, whatever its source.
func TestParkedRowsHaveNobodysPlace(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"", bus.DefaultSource, "shop"} {
		e := bus.Event{ID: "a", Topic: "t", Source: source}
		s := newStored(&outbox.Row{Event: e}, serverclock.Instant{Time: time.UnixMilli(5)})
		s.makeParked()
		for _, other := range []string{"", source, s.RowID[strings.LastIndexByte(s.RowID, ' ')+1:]} {
			if e.Source = other; outbox.RowID(&e) == s.RowID {
				t.Errorf("an event with the source %q has the parked row's id %q", other, s.RowID)
			}
		}
	}
}

// An event comes out of its document as it went in.
func FuzzRow(f *testing.F) {
	f.Add("a", "t", "k", "ty", "s", "c", "h", "v", []byte{1}, int64(1), uint64(1))
	f.Add("$a", "a.b", "$k.", "", "", "", "$h.i", "", []byte{}, int64(-1), uint64(0))
	f.Fuzz(func(t *testing.T, id, topic, key, kind, source, content, name, value string, data []byte, nanos int64, seq uint64) {
		in := outbox.Row{Seq: seq, Event: bus.Event{
			ID: id, Topic: topic, Key: key, Type: kind, Source: source, ContentType: content, Data: data,
			Headers: bus.Headers{name: {value, ""}, name + "2": {value}},
		}}
		if nanos != 0 {
			in.Event.Time = time.Unix(0, nanos)
		}
		if err := checkRow(&in); err != nil {
			if utf8.ValidString(id+topic+key+kind+source+content+name+value) && id != "" && bus.ValidTopic(topic) == nil && seq < 1<<63 {
				t.Errorf("refused: %v", err)
			}
			return
		}
		s := newStored(&in, serverclock.Instant{Time: time.UnixMilli(5)})
		doc, err := s.encodeDocument()
		if err != nil {
			t.Fatal(err)
		}
		var back storedRow
		if err := bson.Unmarshal(doc, &back); err != nil {
			t.Fatal(err)
		}
		out := back.toRow()
		if !back.isSameEvent(s) || !s.isSameEvent(&back) || !out.Event.Time.Equal(in.Event.Time) || out.Seq != seq || out.Hash != outbox.Hash(key, id) {
			t.Errorf("%+v came back as %+v", in, out)
		}
		out.Event.Time, in.Event.Time = time.Time{}, time.Time{}
		if len(data) == 0 {
			out.Event.Data, in.Event.Data = nil, nil
		}
		if !reflect.DeepEqual(out.Event, in.Event) {
			t.Errorf("%+v came back as %+v", in.Event, out.Event)
		}
	})
}
