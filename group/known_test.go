package group

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A row that cannot be read never changes what is in force: what was read last for its scope holds,
// or a pause if nothing was.
func TestWhatCannotBeReadKeepsWhatWasReadLast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		server := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		local := server.Add(time.Duration(rapid.IntRange(-300, 300).Draw(t, "skew")) * time.Second)
		var k knownPauses
		rows, last := map[string][]byte{}, map[string]*scopeRow{}
		for revision := range uint64(rapid.IntRange(1, 20).Draw(t, "writes")) {
			key := rapid.SampledFrom([]string{"group", "topic:a", "topic:$outbox"}).Draw(t, "scope")
			paused := rapid.Bool().Draw(t, "paused")
			row := &scopeRow{Version: 1, Pauses: &paused}
			if rapid.Bool().Draw(t, "ends") {
				row.Until = server.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "end")) * time.Second)
			}
			rows[key] = mustMarshal(t, row)
			if rapid.Bool().Draw(t, "broken") {
				rows[key] = rows[key][:rapid.IntRange(0, len(rows[key])-1).Draw(t, "cut")]
				if last[key] == nil {
					always := true
					last[key] = &scopeRow{Pauses: &always}
				}
			} else {
				last[key] = row
			}
			l := Listing{Incarnation: "i", Revision: revision, Now: server}
			for key, data := range rows {
				l.Rows = append(l.Rows, Row{Key: key, Data: data, Revision: revision})
			}
			_ = k.update(&l, local) // which are broken is drawn
			assertInForce(t, &k, last, local, server)
		}
	})
}

func assertInForce(t *rapid.T, k *knownPauses, last map[string]*scopeRow, local, server time.Time) {
	for after := -6; after <= 6; after += 3 {
		at := time.Duration(after) * time.Second
		want := map[string]bool{}
		for key, row := range last {
			if *row.Pauses && (row.Until.IsZero() || server.Add(at).Before(row.Until)) {
				want[topicOf(key)] = true
			}
		}
		got := map[string]bool{}
		for _, p := range k.inForce(local.Add(at)) {
			got[p.Topic] = true
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("after %v: %v in force; want %v", at, got, want)
		}
	}
}

func mustMarshal(t *rapid.T, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A member's row is 8 KiB at most, however much there is to say; what is left out is counted.
func TestAMembersRowIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		long := strings.Repeat("é", rapid.IntRange(0, 200).Draw(t, "bytes"))
		m := Member{ID: "m", Name: long, Host: long, Version: long, Subscriptions: make([]Subscription, rapid.IntRange(0, 500).Draw(t, "subscriptions"))}
		for i := range m.Subscriptions {
			m.Subscriptions[i] = Subscription{Topic: long, Why: long}
		}
		data, err := m.encode()
		if err != nil || len(data) > maxRow {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		got := parseMember(&Row{Key: "m", Data: data})
		if got.ID != "m" || len(got.Subscriptions)+got.Omitted != len(m.Subscriptions) {
			t.Errorf("%d subscriptions and %d omitted of %d", len(got.Subscriptions), got.Omitted, len(m.Subscriptions))
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add([]byte(`{"v":1,"paused":true,"until":"2030-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"id":"m","state":"running"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		row := &Row{Key: "m", Data: data, Revision: 1}
		if r, err := parseScopeRow(row); err == nil && (r.Pauses == nil || r.Version != scopeVersion) {
			t.Errorf("%q was read as %+v", data, r)
		}
		if m := parseMember(row); m.ID != "m" {
			t.Errorf("%q was read as the row of %q", bytes.ToValidUTF8(data, nil), m.ID)
		}
	})
}
