package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/internal/natsserver"
)

// streamAPI makes requests about streams, and says what to do about their errors.
type streamAPI struct {
	js jetstream.JetStream
	nc *nats.Conn
}

// find returns the stream; jetstream.ErrStreamNotFound: there is none.
func (a *streamAPI) find(ctx context.Context, name string) (*foundStream, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	stream, err := a.js.Stream(ctx, name)
	if err != nil {
		return nil, a.explain(err, "STREAM.INFO."+name)
	}
	return &foundStream{stream, stream.CachedInfo()}, nil
}

// create makes a stream. That somebody else has made the same is no error.
func (a *streamAPI) create(ctx context.Context, c jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	_, err := a.js.CreateStream(ctx, c)
	return a.explain(err, "STREAM.CREATE."+c.Name)
}

func (a *streamAPI) update(ctx context.Context, c jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	_, err := a.js.UpdateStream(ctx, c)
	return a.explain(err, "STREAM.UPDATE."+c.Name)
}

// Codes of the server that nats.go has no names for.
const (
	codeNoPeers        jetstream.ErrorCode = 10005
	codeNoResources    jetstream.ErrorCode = 10023
	codeMaxStreams     jetstream.ErrorCode = 10027
	codeMemoryExceeded jetstream.ErrorCode = 10028
	codeNoStorage      jetstream.ErrorCode = 10047
	codeReplicasFixed  jetstream.ErrorCode = 10061
	codeOverlap        jetstream.ErrorCode = 10065
	codeNotClustered   jetstream.ErrorCode = 10074
	codeBytesRequired  jetstream.ErrorCode = 10113
	codeStreamTooLarge jetstream.ErrorCode = 10122
)

// explain says what to do about an error of a request.
func (a *streamAPI) explain(err error, request string) error {
	if err == nil || errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	if missing := natsserver.PermissionError(a.nc, a.prefix()+request); missing != nil {
		return missing
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("NATS did not answer within %v: repeat once it does: %w", requestTime, err)
	}
	if refused, ok := errors.AsType[*jetstream.APIError](err); ok {
		return fmt.Errorf("%w: %s", err, adviceFor(refused.ErrorCode))
	}
	return err
}

// prefix is that of the JetStream API, with its dot.
func (a *streamAPI) prefix() string {
	switch o := a.js.Options(); {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}

func adviceFor(code jetstream.ErrorCode) string {
	const fewer = "ask for fewer replicas, or add servers to the cluster"
	const less = "ask for less, or have the limits of the account or the server raised: see nats account info"
	advice, known := map[jetstream.ErrorCode]string{
		codeNotClustered: fewer, codeNoPeers: fewer, codeReplicasFixed: fewer,
		codeNoResources: less, codeMaxStreams: less, codeMemoryExceeded: less, codeNoStorage: less, codeStreamTooLarge: less,
		codeBytesRequired:                  "this account bounds every stream: set max_bytes",
		codeOverlap:                        "another stream takes some of these subjects: see nats stream ls, and remove them there or here",
		jetstream.JSErrCodeStreamNameInUse: "another stream of that name was made meanwhile: repeat",
	}[code]
	if !known {
		return "mend what it says, and repeat"
	}
	return advice
}
