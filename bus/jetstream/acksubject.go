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
	fields, ok := parseAckFields(subject)
	a = deliveryInfo{deliveryCount: fields[0], sequence: fields[1], stored: int64(fields[3])} // #nosec G115 -- bounded by parseNumber
	return a, ok && a.deliveryCount > 0 && a.sequence > 0
}

// consumerSequence is which delivery of its consumer a message is; 0: it is none.
func consumerSequence(ackSubject string) uint64 {
	fields, _ := parseAckFields(ackSubject)
	return fields[2]
}

// parseAckFields returns the fields delivered, stream seq, consumer seq and stored.
func parseAckFields(subject string) (fields [4]uint64, ok bool) {
	rest, ok := strings.CutPrefix(subject, ackPrefix)
	if !ok {
		return fields, false
	}
	skip := 2
	switch dots := strings.Count(rest, "."); {
	case dots >= 8:
		skip = 4
	case dots != 6:
		return fields, false
	}
	for range skip {
		_, rest, _ = strings.Cut(rest, ".")
	}
	for i := range fields {
		var token string
		token, rest, _ = strings.Cut(rest, ".")
		if fields[i], ok = parseNumber(token); !ok {
			return [4]uint64{}, false
		}
	}
	return fields, true
}

// parseNumber reads a decimal number of at most 63 bits.
func parseNumber(s string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil
}
