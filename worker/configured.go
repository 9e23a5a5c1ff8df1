package worker

import (
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/worker/config"
)

// Configured are the options of Connect that a configuration says: without Embed, Lease,
// Name and Logger.
func Configured(c *config.Config) *ConnectOptions {
	n := &c.NATS
	return &ConnectOptions{
		NATS: n.URL, Credentials: n.Credentials, NKey: n.NKey, TLS: TLSFiles(n.TLS), InboxPrefix: n.InboxPrefix,
		Bus:    &natsbus.Options{Domain: n.Domain, APIPrefix: n.APIPrefix, Stream: n.Stream, Envelopes: n.Envelopes, MaxUnsettled: n.MaxUnsettled},
		Bucket: n.Bucket, Replicas: n.Replicas, Provision: n.Provision, Store: c.Mongo.URI, Namespace: c.Mongo.Namespace,
	}
}
