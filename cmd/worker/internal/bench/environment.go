package bench

import (
	"context"
	"fmt"
	"runtime"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/version"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/internal/commandline"
)

// Environment is where it was measured.
type Environment struct {
	Onceish string `json:"onceish"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	// Cores that this process may use.
	Cores int    `json:"cores"`
	Bus   string `json:"bus"`
	Store string `json:"store"`
	// NATSServer and MongoServer are versions of servers, NATSClient and MongoDriver of clients.
	// Empty: not used.
	NATSServer  string `json:"nats_server,omitempty"`
	NATSClient  string `json:"nats_client,omitempty"`
	MongoServer string `json:"mongo_server,omitempty"`
	MongoDriver string `json:"mongo_driver,omitempty"`
	// Replicas of the stream.
	Replicas int `json:"replicas,omitempty"`
	// SyncInterval is how often the NATS server syncs its files: "always" of a server of the
	// bench's own. Empty: the server does not say it to its clients.
	SyncInterval string `json:"sync_interval,omitempty"`
}

// environment asks the servers what they are.
func (r *rig) environment(ctx context.Context) (e Environment, err error) {
	e = Environment{
		Onceish: commandline.Version(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.GOMAXPROCS(0),
		Bus: r.o.Bus, Store: r.o.Store,
	}
	if r.js != nil {
		e.NATSServer, e.NATSClient = r.conns.NATS().ConnectedServerVersion(), nats.Version
		stream, err := r.js.Stream(ctx, r.bed.Name)
		if err != nil {
			return e, fmt.Errorf("ask for the stream %s: %w", r.bed.Name, err)
		}
		e.Replicas = stream.CachedInfo().Config.Replicas
	}
	if r.own != nil {
		e.SyncInterval = "always"
	}
	if r.o.Store != testbed.StoreMongo {
		return e, nil
	}
	e.MongoDriver = version.Driver
	var info struct {
		Version string `bson:"version"`
	}
	if err := r.conns.Database().RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info); err != nil {
		return e, fmt.Errorf("ask MongoDB for its version: %w", err)
	}
	e.MongoServer = info.Version
	return e, nil
}
