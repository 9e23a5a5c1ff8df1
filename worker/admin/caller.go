package admin

import (
	"cmp"
	"context"
	"net/http"
)

// caller is who makes a request, as far as the server knows.
type caller struct {
	name   string // of the client's certificate; empty: it has shown none
	remote string // address
	prefix string // of the paths
}

type callerKey struct{}

func newCaller(r *http.Request, prefix string) *caller {
	c := &caller{remote: r.RemoteAddr, prefix: prefix}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		c.name = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	return c
}

func withCaller(ctx context.Context, c *caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

func callerFrom(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return cmp.Or(c, &caller{})
}

// by is who asks, where the request says that it is somebody.
func (c *caller) by(claimed string) string {
	return cmp.Or(claimed, c.name, "admin API, "+c.remote)
}
