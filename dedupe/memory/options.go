package memory

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// DefaultMaxKeys is the bound of a store that is given none: about 150 MB when full.
const DefaultMaxKeys = 1_000_000

// Options of a store. The zero value is the default.
type Options struct {
	// MaxKeys bounds the keys that are kept, watermarks aside. At most 4,294,967,295.
	// Zero: DefaultMaxKeys.
	MaxKeys int
	// Now is the store's clock. It must not go back, and must be safe for concurrent use if the
	// store is used so. It is called with the store locked, once for each operation. Nil: time.Now.
	Now func() time.Time
}

func (o *Options) withDefaults() (Options, error) {
	v := *cmp.Or(o, &Options{})
	if v.MaxKeys < 0 || v.MaxKeys > math.MaxUint32 {
		return v, fmt.Errorf("memory store: Options.MaxKeys is %d: it must be from 0 (%d keys) to %d",
			v.MaxKeys, DefaultMaxKeys, uint32(math.MaxUint32))
	}
	v.MaxKeys = cmp.Or(v.MaxKeys, DefaultMaxKeys)
	if v.Now == nil {
		v.Now = time.Now
	}
	return v, nil
}
