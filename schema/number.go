package schema

import (
	"encoding/json"
	"math/big"
)

// ratOf is a number of a schema; nil if it is none. Its size was checked.
func ratOf(v any) *big.Rat {
	n, ok := v.(json.Number)
	if !ok {
		return nil
	}
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		return nil
	}
	return r
}

// showRat writes a number as people do.
func showRat(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return clip(r.FloatString(6), 32)
}
