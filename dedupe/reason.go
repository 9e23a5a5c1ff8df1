package dedupe

import "unicode/utf8"

// MaxReason bounds the reason that a store keeps, in bytes.
const MaxReason = 4 << 10

// TrimReason returns the beginning of a reason that has at most limit bytes and ends between two
// characters: for a store, limit is MaxReason.
func TrimReason(reason string, limit int) string {
	if len(reason) <= limit {
		return reason
	}
	end := limit
	for end > max(0, limit-utf8.UTFMax) && !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}
