package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/provision"
)

// removeTimeout is how long removing what was made may take.
const removeTimeout = 10 * time.Second

// openDeployed connects as the file says, and makes what its workers need. On a server that is not
// ours nothing of it may be there.
func (l *lab) openDeployed(ctx context.Context, o *Options) error {
	d := o.deployed
	adjustConfig(d.config, &l.bed, l.server != nil)
	l.deployed, l.group, l.targets = d, d.config.Group, d.targets
	co := connectOptions(d.config, &l.bed, slog.New(slog.NewTextHandler(l.log, nil)).With("process", "chaos"))
	var err error
	if l.connections, err = l.bed.ConnectAs(ctx, co); err != nil {
		return err
	}
	if l.js, err = l.connections.JetStream(); err != nil {
		return err
	}
	if l.server == nil {
		if err := l.checkGroupIsNew(ctx); err != nil {
			return err
		}
	}
	if err := l.provision(ctx); err != nil {
		return err
	}
	if _, err := l.connections.Store(ctx); err != nil {
		return err
	}
	for i := range l.targets {
		t := &l.targets[i]
		if t.stream, err = l.js.StreamNameBySubject(ctx, t.topic); err != nil {
			return fmt.Errorf("find the stream of %s: %w", t.topic, err)
		}
	}
	return nil
}

// adjustConfig gives the workers names and servers that no other worker has, and leaves the rest.
func adjustConfig(c *config.Config, b *testbed.Bed, ownServer bool) {
	n := &c.NATS
	n.URL, n.Bucket, n.Stream, n.Provision = b.NATS, b.Name, "", false
	if ownServer {
		n.Credentials, n.NKey, n.TLS, n.InboxPrefix, n.Domain, n.APIPrefix, n.Replicas = "", "", config.TLS{}, "", "", "", 0
	}
	if b.Store == testbed.StoreMongo {
		c.Mongo.URI, c.Mongo.Namespace = b.Mongo, b.Name
	}
	for i := range c.Subscriptions { // where to start is said of other streams
		s := &c.Subscriptions[i]
		s.Start, s.StartStream = config.Subscription{}.Start, ""
	}
	if c.Provision == nil {
		return
	}
	marks := c.Provision.Buckets.Marks
	c.Provision.Buckets = config.Buckets{} // the others are all groups'
	c.Provision.Buckets.Marks = marks
	if ownServer {
		c.Provision.Buckets.Marks.Replicas = 0
		for i := range c.Provision.Streams {
			c.Provision.Streams[i].Replicas = 0
		}
	}
}

func connectOptions(c *config.Config, b *testbed.Bed, log *slog.Logger) *worker.ConnectOptions {
	o := worker.Configured(c)
	o.Name, o.Logger, o.Lease, o.NamedServersOnly = b.Name, log, config.ShortestLease(c.Subscriptions), b.Proxied
	return o
}

// withoutServer is what to do about a server that has something already.
const withoutServer = "chaos touches nothing that it has not made: leave --nats out, and it runs a server of its own, or name a server for tests"

// checkGroupIsNew refuses a group that is at work, or paused.
func (l *lab) checkGroupIsNew(ctx context.Context) error {
	store, err := l.connections.GroupStore(ctx)
	if err != nil {
		return err
	}
	for _, space := range []group.Space{group.PauseRows, group.MemberRows} {
		rows, err := store.List(ctx, space, l.group)
		if err != nil {
			return fmt.Errorf("look the group %s up: %w", l.group, err)
		}
		if len(rows.Rows) > 0 {
			return fmt.Errorf("%w: the group %s of %s is on this server: it has members, or is paused; %s", commandline.ErrUsage, l.group, l.deployed.File, withoutServer)
		}
	}
	return nil
}

// provision makes streams and buckets as worker provision does.
func (l *lab) provision(ctx context.Context) error {
	plan, err := provision.New(ctx, l.connections.Connections, l.deployed.config)
	if err != nil {
		return err
	}
	for i := range plan.Items {
		if item := &plan.Items[i]; l.server == nil && item.Kind == provision.KindStream && item.Action != provision.Create {
			return fmt.Errorf("%w: the stream %s, which %s needs, is on this server already%s; %s",
				commandline.ErrUsage, item.Name, l.deployed.File, parenthesized(item.Why), withoutServer)
		}
	}
	err = plan.Apply(ctx, func(item provision.Item) {
		if item.Applied && item.Kind == provision.KindStream {
			l.made = append(l.made, item.Name)
		}
	})
	if err == nil {
		return nil
	}
	for i := range plan.Items {
		if item := &plan.Items[i]; !item.Done() {
			err = fmt.Errorf("%w: %s %s: %s", err, item.Kind, item.Name, strings.TrimSpace(item.Why+" "+item.Error))
		}
	}
	return err
}

func parenthesized(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// removeDeployed removes what was made for the workers of a file, also after ctx has ended. What is
// on a server of ours goes with its data.
func (l *lab) removeDeployed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	var errs []error
	if l.bed.Store == testbed.StoreMongo {
		errs = append(errs, l.dropCollections(ctx))
	}
	if l.server != nil {
		return errors.Join(errs...)
	}
	for _, name := range l.made {
		if err := l.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			errs = append(errs, fmt.Errorf("remove the stream %s: %w", name, err))
		}
	}
	if len(l.made) > 0 { // else the group may be another's
		errs = append(errs, l.connections.RemoveGroup(ctx, l.group))
	}
	if l.bed.Store == testbed.StoreKV {
		errs = append(errs, l.connections.RemoveMarks(ctx, l.js))
	}
	return errors.Join(errs...)
}

// dropCollections drops those of the namespace, which nobody else has.
func (l *lab) dropCollections(ctx context.Context) error {
	db, err := l.connections.OpenDatabase(ctx)
	if err != nil {
		return err
	}
	names, err := db.ListCollectionNames(ctx, bson.D{})
	if err != nil {
		return fmt.Errorf("list the collections of %s: %w", db.Name(), err)
	}
	var errs []error
	for _, name := range names {
		if !strings.HasSuffix(name, "."+l.bed.Name) {
			continue
		}
		if err := db.Collection(name).Drop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("remove the collection %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
