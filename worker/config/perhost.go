package config

import (
	"net/url"
	"strings"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
)

// PerHost bounds what a process posts to one host.
type PerHost struct {
	// Concurrency is how many requests may run at once. Zero: there is no bound.
	Concurrency int
	// Rate is how many may start over time. Its Count is zero where there is no bound.
	Rate Starts
}

// FlowRate returns the rate for a limiter. ok is false if there is no rate.
func (p *PerHost) FlowRate() (r flow.Rate, ok bool) {
	return (&Rate{Limit: p.Rate}).FlowRate(), p.Rate.Count > 0
}

// Host returns the host of the URL with its port, in lower case. Empty: the URL has none.
func (h *HTTPHandler) Host() string {
	u, err := url.Parse(h.URL)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

func perHostKeys() []field[PerHost] {
	return []field[PerHost]{
		intField("concurrency", func(p *PerHost) *int { return &p.Concurrency }, consumer.Limit[int]{Min: 1, Max: 100_000}).withDefaultText(noLimit).
			describedAs("how many requests to the host may run at once"),
		unitStartsField("rate", func(p *PerHost) *Starts { return &p.Rate }).withDefaultText(noLimit).
			describedAs("how many requests to the host may start, such as 100/s, 30/m or 5/h; it takes the place of rate"),
	}
}

// unitStartsField is a limit that has a unit.
func unitStartsField[S any](name string, at func(*S) *Starts) *scalarField[S, Starts] {
	l := newScalarField(name, "rate", "a rate such as 100/s, 30/m or 5/h", at, func(s string) (Starts, error) {
		starts, err := parseStarts(s)
		if err == nil && starts.Per == 0 {
			err = noUnitError(quoteShort(s))
		}
		return starts, err
	}, Starts.String)
	l.yamlTags = append(l.yamlTags, "!!int", "!!float") // for a better message
	l.jsonShape["pattern"] = `^ *0*[1-9][0-9]* */ *[smh] *$`
	return l
}

// shareHostLimits gives every subscription the limits of its host, and refuses those that differ:
// one host has one limit.
func (c *Config) shareHostLimits(r *configReader) {
	limits, givenBy := make(map[string]*PerHost), make(map[string]string)
	for i := range c.Subscriptions {
		h, at := c.Subscriptions[i].Handler.HTTP, entryPath(string(SectionSubscriptions), i)+".handler.http.per_host"
		if h == nil || h.PerHost == nil || !h.PerHost.check(r, at) || h.Host() == "" {
			continue
		}
		first := givenBy[h.Host()]
		switch {
		case first == "":
			limits[h.Host()], givenBy[h.Host()] = h.PerHost, at
		case *limits[h.Host()] != *h.PerHost:
			r.reportMistake(at, "%s says something else of the same host, which has one limit in this process: write the same, or give it once", first)
		}
	}
	for i := range c.Subscriptions {
		s := &c.Subscriptions[i]
		if s.Handler.HTTP == nil || limits[s.Handler.HTTP.Host()] == nil {
			continue
		}
		host := s.Handler.HTTP.Host()
		s.Handler.HTTP.PerHost = limits[host]
		s.checkRates(r, entryPath(string(SectionSubscriptions), i)+".rate", givenBy[host])
	}
}

// check refuses a mapping that bounds nothing.
func (p *PerHost) check(r *configReader, at string) bool {
	concurrency, rate := at+".concurrency", at+".rate"
	if r.hasMistake[at] || r.hasMistake[concurrency] || r.hasMistake[rate] {
		return false
	}
	if p.Concurrency == 0 && p.Rate.Count == 0 {
		r.reportMistake(at, "it bounds nothing: give concurrency, rate or both")
		return false
	}
	return true
}

// checkRates refuses a rate of a subscription beside one of its host: events start by one.
func (s *Subscription) checkRates(r *configReader, at, perHost string) {
	if s.Rate != nil && s.Handler.HTTP.PerHost.Rate.Count > 0 {
		r.reportMistake(at, "events start by one rate, and %s.rate holds for all that is posted to this host: keep one of them", perHost)
	}
}
