package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// rowVersion is the first byte of a stored row.
const rowVersion = 1

// maxAhead is how far before the server's time a row may be. What is further ahead was written by a
// clock that was wrong, and would keep the key closed until then.
const maxAhead = time.Minute

var errMalformed = errors.New("malformed row of a shared limit")

// encodeRow is the stored form of a state: the version, then the rate that it is of and its fields
// as varints; tokens as the bits of a float.
func encodeRow(r *Rate, s *limitState) []byte {
	b := make([]byte, 0, 64+8*len(s.log))
	b = append(b, rowVersion)
	for _, v := range [...]int64{int64(r.Strategy), int64(r.Limit), int64(r.Per), int64(r.Burst), s.at, s.closed, int64(s.count), int64(s.previous)} {
		b = binary.AppendVarint(b, v)
	}
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s.tokens))
	before := s.at
	for _, started := range s.log {
		b = binary.AppendVarint(b, started.at-before)
		b = binary.AppendVarint(b, int64(started.n))
		before = started.at
	}
	return b
}

// decodeRow returns a stored state and the rate that it is of. Now bounds its times.
func decodeRow(data []byte, now int64) (r Rate, s limitState, err error) {
	if len(data) == 0 || data[0] != rowVersion {
		return r, s, fmt.Errorf("%w: its version is unknown", errMalformed)
	}
	d := rowDecoder{data: data[1:]}
	r = Rate{Strategy: Strategy(d.next()), Limit: int(d.next()), Per: time.Duration(d.next()), Burst: int(d.next())}
	s = limitState{at: d.next(), closed: d.next(), count: int(d.next()), previous: int(d.next()), tokens: d.nextFloat()}
	if err := r.Validate(); err != nil {
		return r, s, fmt.Errorf("%w: %w", errMalformed, err)
	}
	logged := 0
	for before := s.at; len(d.data) > 0 && !d.failed; {
		started := startedAt{at: before + d.next(), n: int(d.next())}
		if started.n < 1 || started.n > maxLimit || started.at < 0 || len(s.log) > 0 && started.at < before {
			d.failed = true
		}
		before = started.at
		logged += started.n
		s.log = append(s.log, started)
	}
	latest := now + int64(maxAhead)
	switch {
	case d.failed, s.count < 0, s.previous < 0, s.count > maxLimit, s.previous > maxLimit, s.at < 0:
		err = errors.New("it is cut off, or a number is out of bounds")
	case s.at > latest, len(s.log) > 0 && s.log[len(s.log)-1].at > latest:
		err = fmt.Errorf("it is more than %v ahead of the server's time", maxAhead)
	case s.closed < 0 || s.closed > now+int64(maxPer):
		err = errors.New("it is closed for too long")
	case r.Strategy == TokenBucket && !(s.tokens >= -1 && s.tokens <= float64(r.capacity())):
		err = errors.New("its tokens are out of bounds")
	case r.Strategy == SlidingLog && logged != s.count, r.Strategy != SlidingLog && len(s.log) > 0:
		err = errors.New("its log does not add up")
	case (r.Strategy == FixedWindow || r.Strategy == SlidingWindow) && s.at%int64(r.Per) != 0:
		err = errors.New("its window begins at no multiple of the time")
	default:
		return r, s, nil
	}
	return r, limitState{}, fmt.Errorf("%w: %w", errMalformed, err)
}

// rowDecoder reads numbers until one cannot be read. From then on they are zero.
type rowDecoder struct {
	data   []byte
	failed bool
}

func (d *rowDecoder) next() int64 {
	v, n := binary.Varint(d.data)
	if n <= 0 {
		d.failed, d.data = true, nil
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *rowDecoder) nextFloat() float64 {
	if len(d.data) < 8 {
		d.failed, d.data = true, nil
		return 0
	}
	f := math.Float64frombits(binary.LittleEndian.Uint64(d.data))
	d.data = d.data[8:]
	return f
}
