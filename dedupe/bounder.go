package dedupe

// Bounder reports how much a store may keep. It is found by assertion on a Store; one that is no
// Bounder has no bound of its own.
type Bounder interface {
	// Bounds does not block, and is safe for concurrent use.
	Bounds() Bounds
}

// Bounds is what new keys may fill of a store before it refuses them with ErrFull. Zero: no bound.
type Bounds struct {
	// Keys counts keys, Bytes what they take as the store counts it.
	Keys, Bytes int64
}
