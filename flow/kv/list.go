package kv

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/flow"
)

// List implements flow.Lister. It takes a request for the keys of the whole bucket, and then one
// for each row at once.
func (s *Store) List(ctx context.Context, prefix, after string, most int) (flow.Listing, error) {
	stream, err := s.findBucket(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return flow.Listing{}, nil
	}
	if err != nil {
		return flow.Listing{}, s.nameCall("list", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(s.subject(">")))
	if err != nil {
		return flow.Listing{}, s.nameCall("list", err)
	}
	l := flow.Listing{Now: info.TimeStamp}
	keys := s.selectKeys(info.State.Subjects, prefix, after)
	if len(keys) > most {
		keys, l.Next = keys[:most], keys[most-1]
	}
	if l.Rows, err = s.readRows(ctx, stream, keys); err != nil {
		return flow.Listing{}, s.nameCall("list", err)
	}
	return l, nil
}

// selectKeys returns the keys with a prefix after another one, in order. It passes over subjects
// that no Store has written.
func (s *Store) selectKeys(subjects map[string]uint64, prefix, after string) []string {
	var keys []string
	head := s.subject("")
	for subject := range subjects {
		key, ok := unescapeKey(strings.TrimPrefix(subject, head))
		if ok && strings.HasPrefix(key, prefix) && (key > after || after == "") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// readRows reads, at once, the rows of keys that still have one.
func (s *Store) readRows(ctx context.Context, stream jetstream.Stream, keys []string) ([]flow.KeyedRow, error) {
	var (
		mu     sync.Mutex
		rows   []flow.KeyedRow
		failed error
		all    sync.WaitGroup
	)
	for _, key := range keys {
		all.Go(func() {
			m, err := stream.GetLastMsgForSubject(ctx, s.subject(escapeKey(key)))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && !isMarker(m):
				rows = append(rows, flow.KeyedRow{Row: flow.Row{Data: m.Data, Revision: m.Sequence}, Key: key})
			case err != nil && !errors.Is(err, jetstream.ErrMsgNotFound): // else it has just expired
				failed = err
			}
		})
	}
	all.Wait()
	slices.SortFunc(rows, func(a, b flow.KeyedRow) int { return cmp.Compare(a.Key, b.Key) })
	return rows, failed
}

// isMarker reports whether a message only says that a row was deleted.
func isMarker(m *jetstream.RawStreamMsg) bool {
	return m.Header.Get("KV-Operation") != "" || m.Header.Get(jetstream.MarkerReasonHeader) != ""
}
