package bus

import (
	"context"
	"maps"
	"strings"
)

// ContextHeaders returns the headers that a context adds to those of events which are stored now
// and published later, such as the trace context of whoever stores them. Nil, and no headers, add
// nothing. It is safe for concurrent use, and must not block.
type ContextHeaders func(ctx context.Context) Headers

// AddTo returns h with what ctx adds. An event that has one of these headers already, in whatever
// case, is left as it is: they belong together. It does not change h, and shares its values.
func (f ContextHeaders) AddTo(ctx context.Context, h Headers) Headers {
	if f == nil {
		return h
	}
	added := f(ctx)
	if len(added) == 0 {
		return h
	}
	for name := range h {
		for other := range added {
			if strings.EqualFold(name, other) {
				return h
			}
		}
	}
	out := maps.Clone(added)
	maps.Copy(out, h)
	return out
}
