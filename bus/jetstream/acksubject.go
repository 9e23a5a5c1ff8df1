package jetstream

import (
	"strconv"
	"strings"
)

const ackPrefix = "$JS.ACK."

// deliveryInfo is what the server tells of a delivery in the subject that it is settled on.
type deliveryInfo struct {
	deliveryCount uint64
	sequence      uint64
	stored        int64 // Unix time in ns
}

// parseAckSubject reads the subject on which a delivery is settled. The server has two forms of it,
// and may append to the second:
//
//	$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<stored>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<stored>.<pending>[.<more>]
func parseAckSubject(subject string) (a deliveryInfo, ok bool) {
	rest, ok := strings.CutPrefix(subject, ackPrefix)
	if !ok {
		return a, false
	}
	skip := 2
	switch dots := strings.Count(rest, "."); {
	case dots >= 8:
		skip = 4
	case dots != 6:
		return a, false
	}
	for range skip {
		_, rest, _ = strings.Cut(rest, ".")
	}
	var fields [4]uint64
	for i := range fields {
		var token string
		token, rest, _ = strings.Cut(rest, ".")
		if fields[i], ok = parseNumber(token); !ok {
			return a, false
		}
	}
	a = deliveryInfo{deliveryCount: fields[0], sequence: fields[1], stored: int64(fields[3])} // #nosec G115 -- bounded by parseNumber
	return a, a.deliveryCount > 0 && a.sequence > 0
}

// parseNumber reads a decimal number of at most 63 bits.
func parseNumber(s string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil
}
