package kv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/dedupe"
)

// keyWrite is a publish to a key.
type keyWrite struct {
	key  string
	data []byte
	// ttl of the key. Zero: it is kept for ever.
	ttl time.Duration
	// expect is the revision that the write replaces, "0" if there must be none. Empty:
	// whichever there is.
	expect string
}

func (r *keyRow) toWrite(key, expect string) keyWrite {
	return keyWrite{key: key, data: r.encodeRow(), ttl: max(1, r.TTL), expect: expect}
}

type writeOutcome struct {
	revision uint64
	// err is errConflict, or why the server did not take this write.
	err error
}

func expectRevision(revision uint64) string { return strconv.FormatUint(revision, 10) }

// writeAll sends all and returns their outcomes. The error is returned when the bucket could
// not be reached, and says nothing of any of them.
func (s *Store) writeAll(ctx context.Context, ws []keyWrite) ([]writeOutcome, error) {
	out := make([]writeOutcome, len(ws))
	send := make([]int, 0, len(ws))
	limit := s.maxMessage()
	for i, w := range ws {
		if size := len(w.data) + headerRoom; size > limit {
			out[i].err = fmt.Errorf("%w: it takes %d bytes, the bucket %q takes %d in a message", dedupe.ErrKeyRefused, size, s.bucket, limit)
			continue
		}
		send = append(send, i)
	}
	answers, err := s.requests.sendAll(ctx, len(send), func(i int) *nats.Msg { return s.publishMessage(&ws[send[i]]) })
	if err != nil {
		s.clock.Distrust()
		return nil, err
	}
	for n, m := range answers {
		o := &out[send[n]]
		o.revision, o.err = parsePublishAck(m)
		switch {
		case o.err == nil || errors.Is(o.err, errConflict):
		case errors.Is(o.err, ErrNoAnswer) || errors.Is(o.err, ErrNoBucket) || errors.Is(o.err, ErrBucketUnfit):
			s.clock.Distrust()
			return nil, fmt.Errorf("write to dedupe bucket %q: %w", s.bucket, o.err)
		default:
			o.err = fmt.Errorf("write to dedupe bucket %q: %w", s.bucket, o.err)
		}
	}
	return out, nil
}

// headerRoom is what the headers of a write take at most.
const headerRoom = 256

func (s *Store) maxMessage() int {
	limit := int(s.nc.MaxPayload())
	if s.maxSize > 0 {
		limit = min(limit, s.maxSize)
	}
	return limit
}

func (s *Store) publishMessage(w *keyWrite) *nats.Msg {
	values := make([]string, 0, 2)
	h := make(nats.Header, 2)
	if w.expect != "" {
		values = append(values, w.expect)
		h["Nats-Expected-Last-Subject-Sequence"] = values[:1:1]
	}
	if w.ttl > 0 {
		values = append(values, strconv.FormatInt(wholeSeconds(w.ttl), 10))
		h["Nats-TTL"] = values[len(values)-1:]
	}
	return &nats.Msg{Subject: s.subject + w.key, Data: w.data, Header: h}
}

// maxTTL bounds what the server is told in seconds, for it counts in nanoseconds since 1970: a
// hundred years.
const maxTTL = 100 * 365 * 24 * time.Hour

// wholeSeconds rounds up: the server drops no key before its time.
func wholeSeconds(d time.Duration) int64 {
	return max(1, int64((min(d, maxTTL)+time.Second-1)/time.Second))
}

// readMessages asks the leader for the last message of each key. The zero value is a key
// that has none.
func (s *Store) readMessages(ctx context.Context, keys []string) ([]storedMessage, error) {
	answers, err := s.requests.sendAll(ctx, len(keys), func(i int) *nats.Msg {
		// No byte of a key needs an escape.
		return &nats.Msg{Subject: s.get, Data: []byte(`{"last_by_subj":"` + s.kept + keys[i] + `"}`)}
	})
	if err != nil {
		s.clock.Distrust()
		return nil, err
	}
	out := make([]storedMessage, len(keys))
	for i, m := range answers {
		if out[i], err = parseMessage(m); err != nil && !errors.Is(err, errAbsent) {
			s.clock.Distrust()
			return nil, fmt.Errorf("read from dedupe bucket %q: %w", s.bucket, err)
		}
	}
	return out, nil
}

func (s *Store) readEntries(ctx context.Context, keys []string) ([]keyEntry, error) {
	msgs, err := s.readMessages(ctx, keys)
	if err != nil {
		return nil, err
	}
	out := make([]keyEntry, len(keys))
	for i, m := range msgs {
		out[i] = keyEntry{revision: m.revision, stored: m.time}
		if m.revision == 0 || m.marker {
			continue
		}
		if out[i].row, err = decodeRow(m.data); err != nil {
			out[i].err = fmt.Errorf("%w: in bucket %q under %s: remove it with: nats kv del %s %s", err, s.bucket, keys[i], s.bucket, keys[i])
			s.warnUnreadable(out[i].err)
		}
	}
	return out, nil
}

// warnUnreadable warns once; each event that is concerned has an outcome of its own.
func (s *Store) warnUnreadable(err error) {
	if !s.warned.Swap(true) {
		s.log.Warn("dedupe bucket holds a value that cannot be read", "bucket", s.bucket, "error", err)
	}
}
