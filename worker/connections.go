package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/natsserver"
)

// Embedded is a NATS server in this process, or the one of another process that was joined.
type Embedded interface {
	// URL is what to connect to.
	URL() string
	// Serving reports whether the server is in this process.
	Serving() bool
	// Close ends it, after all its connections.
	Close() error
}

// ConnectOptions say where bus and store are. The zero value has neither a NATS URL nor a server of
// its own, and is refused.
type ConnectOptions struct {
	// NATS is the URL of the server, or several separated by commas. Empty: Embed runs one.
	NATS string
	// Credentials is a file with a user's JWT and seed. Empty: what the URL says.
	Credentials string
	// NKey is a file with a user's seed. At most one of Credentials and NKey is set.
	NKey string
	// TLS are files for TLS with the server.
	TLS TLSFiles
	// NamedServersOnly keeps the connection to the servers that NATS names. Others of their
	// cluster, which they advertise, are not connected to: it is for servers that are reached
	// through proxies. False: all are.
	NamedServersOnly bool
	// InboxPrefix is what the subjects of answers begin with. Empty: "_INBOX".
	InboxPrefix string
	// Bus are those of the bus. Domain and APIPrefix are also the store's where that is a key-value
	// bucket. Nil: the defaults.
	Bus *natsbus.Options
	// Store is the URL of where marks are kept:
	//
	//	mongodb://host/DATABASE   the collection "dedupe" there; outboxes beside it; also mongodb+srv
	//	nats:                     a key-value bucket on the same NATS; no outboxes
	//	memory:                   this process, for tests: all is forgotten with it
	//
	// Empty: nats. Without a DATABASE it is "onceish".
	Store string
	// Bucket is the key-value bucket. Empty: kvdedupe.DefaultBucket.
	Bucket string
	// Replicas are those of streams and of a bucket that are made. Zero: 1, and for a bucket as
	// many as the streams have.
	Replicas int
	// Namespace ends the names of the collections, after a dot: where workers on several NATS
	// clusters share a database each cluster needs one of its own, for an event of one would be
	// taken for the other's that has its topic and id. Empty: the names are as they are.
	Namespace string
	// Partitions are in how many partitions topics are published: by Connections.Publisher,
	// Worker.Publisher and what is published from outboxes. Nil: none has any.
	Partitions bus.Layout
	// Embed starts or joins a server when there is no URL. It is a function so that only who wants
	// one links a server. Nil: NATS is required.
	Embed func(ctx context.Context, log *slog.Logger) (Embedded, error)
	// Provision makes streams that are missing. With Embed they always are: there is nobody else
	// to make them.
	Provision bool
	// Strict refuses connections without TLS that leave this machine, to NATS and to MongoDB, with
	// ErrUsage: no credentials are sent. It holds for reconnects, and for servers that others refer
	// to. This machine is localhost, and the addresses of its loopback interface; other names are
	// elsewhere, whatever they resolve to. False: they are logged as a warning.
	Strict bool
	// Lease is the shortest lease or ack deadline of what will run over the connections: they
	// notice well within it that a server is frozen. Zero: 30 s.
	Lease time.Duration
	// Name is told to the servers. Empty: "onceish".
	Name string
	// Logger; slog.Default().
	Logger *slog.Logger
}

// Connections are a worker's clients. They are closed by Close, after everything that uses
// them has ended. Until then their methods are safe for concurrent use, but for those of a Worker
// that is made on them.
type Connections struct {
	o        ConnectOptions
	log      *slog.Logger
	embedded Embedded
	nats     *nats.Conn

	// opening guards what is opened when it is first asked for, from here to closers. It is held
	// while something is opened: whoever wants it waits for that.
	opening  sync.Mutex
	mongo    *mongo.Client
	database *mongo.Database
	store    dedupe.Store
	groups   group.Store // nil: not opened yet, as limits
	limits   flow.Store
	topics   []string // what the store is for, as far as that is known when it is opened
	closers  []func() error

	bus bus.Bus
	end atomic.Pointer[shutdownClock] // of the worker that has run on them; nil: none has
	// headers are what contexts add to events of outboxes and documents; nil: nothing.
	headers atomic.Pointer[bus.ContextHeaders]

	outboxesLock sync.Mutex
	outboxes     []*Outbox // that were opened

	busName   string
	storeName string // guarded by opening
}

// Connect connects to the bus, and to an embedded server if there is no other. It does not retry:
// what does not answer at the start, within 5 s, or 2 s for each of several URLs, is an error that
// says where, without credentials. So is a server older than natsbus.OldestServer; of a cluster
// only the server that was connected to is looked at. Later on the connection comes back by itself.
func Connect(ctx context.Context, o *ConnectOptions) (*Connections, error) {
	c := &Connections{o: *cmp.Or(o, &ConnectOptions{})}
	c.o.Name, c.log = cmp.Or(c.o.Name, "onceish"), cmp.Or(c.o.Logger, slog.Default())
	busOptions := *cmp.Or(c.o.Bus, &natsbus.Options{})
	c.o.Bus = &busOptions
	if err := c.checkStore(); err != nil {
		return nil, err
	}
	if err := c.connectBus(ctx); err != nil {
		return nil, errors.Join(err, c.Close()) //nolint:contextcheck // closing does not depend on it
	}
	return c, nil
}

// Bus is the bus.
func (c *Connections) Bus() bus.Bus { return c.bus }

// NATS is the connection to NATS; nil if the bus is another one.
func (c *Connections) NATS() *nats.Conn { return c.nats }

// Mongo is the client of the MongoDB that keeps the marks; nil if they are kept elsewhere, and
// before Store and Outbox.
func (c *Connections) Mongo() *mongo.Client {
	c.opening.Lock()
	defer c.opening.Unlock()
	return c.mongo
}

// Database is the one that has the marks: the URI's, or "onceish". Nil if they are kept elsewhere,
// and before Store and Outbox.
func (c *Connections) Database() *mongo.Database {
	c.opening.Lock()
	defer c.opening.Unlock()
	return c.database
}

// JetStream is the API that the bus uses, in its domain or under its prefix; nil if the bus is
// another one. Each call makes a new one.
func (c *Connections) JetStream() (jetstream.JetStream, error) {
	if c.nats == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	return natsserver.JetStream(c.nats, c.o.Bus.Domain, c.o.Bus.APIPrefix)
}

// OpenDatabase connects to the MongoDB that is to keep the marks, and makes nothing there; nil if
// they are kept elsewhere. Repeated calls return the same one.
func (c *Connections) OpenDatabase(ctx context.Context) (*mongo.Database, error) {
	if !c.hasMongo() {
		return nil, nil //nolint:nilnil // there is none
	}
	c.opening.Lock()
	defer c.opening.Unlock()
	return c.openDatabase(ctx)
}

// Provisions reports whether streams that are missing are made: ConnectOptions.Provision is set, or
// the server is the worker's own.
func (c *Connections) Provisions() bool { return c.o.Provision || c.embedded != nil }

// BusName and StoreName tell people where these are, without credentials.
func (c *Connections) BusName() string { return c.busName }

// StoreName is empty before Store.
func (c *Connections) StoreName() string {
	c.opening.Lock()
	defer c.opening.Unlock()
	return c.storeName
}

// timeToClose is how long closing one client may wait for its server: half of what is left of the
// time to end, so that others have theirs.
func (c *Connections) timeToClose() time.Duration {
	at, ok := cmp.Or(c.end.Load(), newShutdownClock(0)).deadline(0)
	if !ok {
		return startTimeout
	}
	return min(startTimeout, max(time.Until(at)/2, minCloseTime))
}

// Close closes what was opened, the last first. After a worker has run, it is done when the
// worker's time to end is over at the latest: what hangs then is left behind. Repeated calls do
// nothing.
func (c *Connections) Close() error {
	ctx, cancel := cmp.Or(c.end.Load(), newShutdownClock(0)).closeContext(0)
	defer cancel()
	var errs []error
	c.opening.Lock()
	closers := c.closers
	c.closers = nil
	c.opening.Unlock()
	for _, closer := range slices.Backward(closers) {
		errs = append(errs, closeWithin(ctx, "the connections", closer))
	}
	return errors.Join(errs...)
}
