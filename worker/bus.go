package worker

import (
	"cmp"
	"context"
	"fmt"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/redact"
)

// Over returns connections to a bus and a store of the caller's own, such as those in memory for a
// test. Close leaves them as they are.
func Over(b bus.Bus, store dedupe.Store) *Connections { return &Connections{bus: b, store: store} }

// connectBus opens the bus of ConnectOptions.NATS: JetStream, at a server or one of this process.
// Any other bus comes in by Over.
func (c *Connections) connectBus(ctx context.Context) (err error) {
	url := c.o.NATS
	if url == "" {
		if url, err = c.startEmbedded(ctx); err != nil {
			return err
		}
	}
	if c.nats, err = connectNATS(url, &c.o, c.log); err != nil {
		return err
	}
	c.closers = append(c.closers, func() error { return closeNATS(c.nats, c.timeToClose()) })
	c.busName = redact.URL(url)
	options := c.busOptions()
	b, err := natsbus.New(c.nats, &options)
	if err != nil {
		return err
	}
	c.bus = b
	c.closers = append(c.closers, func() error {
		b.Close()
		return nil
	})
	return nil
}

// busOptions are the caller's, with what the connections know.
func (c *Connections) busOptions() natsbus.Options {
	o := *cmp.Or(c.o.Bus, &natsbus.Options{})
	o.Logger = cmp.Or(o.Logger, c.log)
	if o.Provision == nil && c.Provisions() {
		o.Provision = &natsbus.Provision{Replicas: c.o.Replicas}
	}
	return o
}

func (c *Connections) startEmbedded(ctx context.Context) (string, error) {
	if c.o.Embed == nil {
		return "", fmt.Errorf("%w: no NATS server: set --nats or NATS_URL", ErrUsage)
	}
	var err error
	if c.embedded, err = c.o.Embed(ctx, c.log); err != nil {
		return "", err
	}
	c.closers = append(c.closers, c.embedded.Close)
	message := "no NATS URL: joined the embedded NATS server of another process"
	if c.embedded.Serving() {
		message = "no NATS URL: serving with an embedded NATS server, for use on this machine only"
	}
	c.log.Info(message, "url", redact.URL(c.embedded.URL()))
	c.dropServerOptions()
	return c.embedded.URL(), nil
}

// dropServerOptions leaves out what is said of another server than the embedded one, which is
// alone, has no domain, and whose URL is all that it takes to connect.
func (c *Connections) dropServerOptions() {
	c.o.Credentials, c.o.NKey, c.o.TLS, c.o.InboxPrefix, c.o.Replicas = "", "", TLSFiles{}, "", 0
	c.o.Bus.Domain, c.o.Bus.APIPrefix = "", ""
}
