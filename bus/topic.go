package bus

import (
	"fmt"
	"strings"
)

// ValidTopic says why events cannot be published to a topic. Topics are NATS subjects: tokens of
// visible characters, separated by single dots, without the wildcards '*' and '>'.
func ValidTopic(topic string) error {
	if err := ValidPattern(topic); err != nil {
		return err
	}
	if hasWildcard(topic) {
		return fmt.Errorf("topic %q has a wildcard: name one topic", topic)
	}
	return nil
}

func hasWildcard(topic string) bool {
	for token := range strings.SplitSeq(topic, ".") {
		if token == "*" || token == ">" {
			return true
		}
	}
	return false
}

// ValidPattern says why a topic cannot be subscribed to. In a pattern the token '*' stands for any
// one token, and a last token '>' for one or more.
func ValidPattern(pattern string) error {
	if pattern == "" {
		return fmt.Errorf("the topic is empty: name one, such as \"order.placed\"")
	}
	switch {
	case strings.HasPrefix(pattern, "."):
		return fmt.Errorf("topic %.64q begins with a dot: remove it", pattern)
	case strings.HasSuffix(pattern, "."):
		return fmt.Errorf("topic %.64q ends with a dot: remove it", pattern)
	}
	tokens := strings.Split(pattern, ".")
	for i, token := range tokens {
		switch {
		case token == "":
			return fmt.Errorf("topic %.64q has an empty token: dots only separate", pattern)
		case token == ">" && i != len(tokens)-1:
			return fmt.Errorf("topic %.64q has '>' before its end: it stands for all that follows", pattern)
		case strings.ContainsFunc(token, invisible):
			return fmt.Errorf("topic %.64q has a space or a control character", pattern)
		}
	}
	if layout, ok := strings.CutSuffix(pattern, ".*"); ok && isPartition(layout+".0") {
		return fmt.Errorf("topic %.64q covers no partition, for the events of each lie below it: end it with %q", pattern, ".>")
	}
	return nil
}

func invisible(r rune) bool { return r <= ' ' || r == 0x7f || r == '\uFFFD' }

// Match reports whether a subscription to the pattern receives what is published to the topic. A
// topic may be a pattern itself: then Match reports whether the pattern covers all of it.
func Match(pattern, topic string) bool {
	for {
		p, prest, pmore := strings.Cut(pattern, ".")
		t, trest, tmore := strings.Cut(topic, ".")
		switch {
		case p == ">":
			return true
		case t == ">" || (p != "*" && p != t):
			return false
		case !pmore || !tmore:
			return pmore == tmore
		}
		pattern, topic = prest, trest
	}
}

// Overlap reports whether there is a topic that both patterns match.
func Overlap(a, b string) bool {
	for {
		x, xrest, xmore := strings.Cut(a, ".")
		y, yrest, ymore := strings.Cut(b, ".")
		switch {
		case x == ">" || y == ">":
			return true
		case x != y && x != "*" && y != "*":
			return false
		case !xmore || !ymore:
			return xmore == ymore
		}
		a, b = xrest, yrest
	}
}
