package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/backoff"
	"github.com/onceish/onceish/internal/natsserver"
)

// makingPatience times Options.Timeout is how long a bucket that is being made is waited for.
const makingPatience = 4

// Store is a group.Store in JetStream. It needs no closing; the connection is its user's.
type Store struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	options Options
	members bucket // members and leases
	groups  bucket // pauses and plans
	opening sync.Mutex
}

var (
	_ group.Store     = (*Store)(nil)
	_ group.Connector = (*Store)(nil)
)

// New opens the buckets on a connection, and makes them unless they exist. It blocks until they
// answer, at most for four times Options.Timeout.
func New(ctx context.Context, nc *nats.Conn, o *Options) (*Store, error) {
	options, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := natsserver.Check(nc); err != nil {
		return nil, fmt.Errorf("group store: %w", err)
	}
	js, err := natsserver.JetStream(nc, options.Domain, options.APIPrefix, jetstream.WithDefaultTimeout(options.Timeout))
	if err != nil {
		return nil, fmt.Errorf("%w: Domain is %q, APIPrefix is %q: %w", ErrInvalidOptions, options.Domain, options.APIPrefix, err)
	}
	s := &Store{nc: nc, js: js, options: options}
	s.members, s.groups = options.buckets()
	for _, b := range []*bucket{&s.members, &s.groups} {
		if err := s.openBucket(ctx, b); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// openBucket tries to open a bucket until it answers.
func (s *Store) openBucket(ctx context.Context, b *bucket) error {
	s.opening.Lock()
	defer s.opening.Unlock()
	bounded, cancel := context.WithTimeout(ctx, makingPatience*s.options.Timeout)
	defer cancel()
	for try := 0; ; try++ {
		err := s.within(bounded, b, func(ctx context.Context) error { return b.open(ctx, s.js, &s.options) })
		if err == nil || !passes(err) || backoff.Sleep(bounded, backoff.Doubled(50*time.Millisecond, try, time.Second)) != nil {
			return err
		}
	}
}

// within calls f for the time of one call, and explains its error.
func (s *Store) within(ctx context.Context, b *bucket, f func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	return s.explain(ctx, b, f(bounded))
}

// TTL implements group.Store: it is that of MembersBucket.
func (s *Store) TTL() time.Duration { return s.members.ttl }

// Connected implements group.Connector.
func (s *Store) Connected() bool { return s.nc.IsConnected() }

// List implements group.Store. It takes a request, and then one for each row at once.
func (s *Store) List(ctx context.Context, space group.Space, name string) (l group.Listing, err error) {
	err = s.call(ctx, space, func(ctx context.Context, b *bucket) error {
		l, err = s.list(ctx, b, space, name)
		return err
	})
	return l, err
}

// list takes the server's time and the stream's last sequence first: each row is read after that,
// so every write up to this sequence is in the listing.
func (s *Store) list(ctx context.Context, b *bucket, space group.Space, name string) (group.Listing, error) {
	head := "$KV." + b.name + "." + prefix(space, name)
	info, err := b.stream.Info(ctx, jetstream.WithSubjectFilter(head+">"))
	if err != nil {
		return group.Listing{}, err
	}
	messages, err := readMessages(ctx, b.stream, info.State.Subjects)
	if err != nil {
		return group.Listing{}, err
	}
	l := group.Listing{Incarnation: info.Created.UTC().Format(time.RFC3339Nano), Created: info.Created, Now: info.TimeStamp}
	for _, m := range messages {
		if m.Sequence <= info.State.LastSeq {
			l.Revision = max(l.Revision, m.Sequence)
		}
		key, ok := unescape(strings.TrimPrefix(m.Subject, head))
		expired := b.ttl > 0 && l.Now.Sub(m.Time) >= b.ttl
		if !ok || expired || isMarker(m) {
			continue
		}
		l.Rows = append(l.Rows, group.Row{Key: key, Data: m.Data, Revision: m.Sequence, Stored: m.Time})
	}
	return l, nil
}

// readMessages reads, at once, the last message of each subject that still has one.
func readMessages(ctx context.Context, stream jetstream.Stream, subjects map[string]uint64) ([]*jetstream.RawStreamMsg, error) {
	var (
		mu       sync.Mutex
		messages []*jetstream.RawStreamMsg
		failed   error
		all      sync.WaitGroup
	)
	for subject := range subjects {
		all.Go(func() {
			m, err := stream.GetLastMsgForSubject(ctx, subject)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				messages = append(messages, m)
			} else if !errors.Is(err, jetstream.ErrMsgNotFound) { // else it has just expired
				failed = errors.Join(failed, err)
			}
		})
	}
	all.Wait()
	return messages, failed
}

// isMarker reports whether a message only says that a row was deleted.
func isMarker(m *jetstream.RawStreamMsg) bool {
	return m.Header.Get("KV-Operation") != "" || m.Header.Get(jetstream.MarkerReasonHeader) != ""
}

// Put implements group.Store.
func (s *Store) Put(ctx context.Context, space group.Space, name, key string, data []byte, expect uint64) (revision uint64, err error) {
	at := prefix(space, name) + escape(key)
	err = s.call(ctx, space, func(ctx context.Context, b *bucket) error {
		switch expect {
		case group.AnyRevision:
			revision, err = b.kv.Put(ctx, at, data)
		case 0:
			revision, err = b.kv.Create(ctx, at, data)
		default:
			revision, err = b.kv.Update(ctx, at, data, expect)
		}
		return err
	})
	return revision, err
}

// Delete implements group.Store.
func (s *Store) Delete(ctx context.Context, space group.Space, name, key string) error {
	return s.call(ctx, space, func(ctx context.Context, b *bucket) error {
		return b.kv.Delete(ctx, prefix(space, name)+escape(key))
	})
}

// errWatchClosed is why a watch has ended that its caller did not end.
var errWatchClosed = errors.New("watch was closed with its subscription")

// Watch implements group.Store.
func (s *Store) Watch(ctx context.Context, name string, changed func()) error {
	keys := []string{prefix(group.PauseRows, name) + ">", prefix(group.PlanRows, name) + ">"}
	watcher, err := s.groups.kv.WatchFiltered(ctx, keys, jetstream.UpdatesOnly(), jetstream.MetaOnly())
	if err != nil {
		return s.explain(ctx, &s.groups, err)
	}
	defer stopWatcher(watcher)
	changed() // for what changed before it watched
	for {
		select {
		case _, ok := <-watcher.Updates():
			if !ok {
				return errWatchClosed
			}
			changed()
		case <-ctx.Done():
			return nil
		}
	}
}

// stopWatcher ends a watch. A server that hangs is not waited for: it removes what there is of the
// watch by itself.
func stopWatcher(w jetstream.KeyWatcher) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = w.Stop() // it may have ended with the connection
	}()
	select {
	case <-stopped:
	case <-time.After(stopWithin):
	}
}

// stopWithin is more than a server that answers needs.
const stopWithin = 250 * time.Millisecond

// call calls f with the bucket of a space. If that is gone, it is made again, and f called again.
func (s *Store) call(ctx context.Context, space group.Space, f func(context.Context, *bucket) error) error {
	b := &s.members
	if space == group.PauseRows || space == group.PlanRows {
		b = &s.groups
	}
	if !s.nc.IsConnected() {
		return fmt.Errorf("%w: %w", ErrDisconnected, nats.ErrConnectionReconnecting)
	}
	use := func(ctx context.Context) error { return f(ctx, b) }
	err := s.within(ctx, b, use)
	if !isGone(err) || !s.nc.IsConnected() {
		return err
	}
	if err := s.openBucket(ctx, b); err != nil {
		return err
	}
	return s.within(ctx, b, use)
}

// errNoJetStream is why calls fail that a server without JetStream refuses.
var errNoJetStream = errors.New("no JetStream answers")

// explain says what an error means to the caller.
func (s *Store) explain(ctx context.Context, b *bucket, err error) error {
	switch {
	case err == nil || errors.Is(err, ErrNoBucket) || errors.Is(err, ErrBucketUnfit):
		return err
	case errors.Is(err, jetstream.ErrKeyExists):
		return group.ErrConflict
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return context.Cause(ctx)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w at %s: enable it for the server (nats-server -js) and for this account, or see Options.Domain and APIPrefix: %w",
			errNoJetStream, s.nc.ConnectedAddr(), err)
	case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) && !hasNoLeader(err):
		return fmt.Errorf("bucket %q: %w", b.name, err)
	}
	api, put := s.options.apiPrefix(), "$KV."+b.name+"."
	if api != jetstream.DefaultAPIPrefix {
		put = api + put
	}
	stream := b.streamName()
	if missing := natsserver.PermissionError(s.nc, put, api+"STREAM.INFO."+stream, api+"STREAM.MSG.GET."+stream,
		api+"STREAM.CREATE."+stream, api+"CONSUMER.CREATE."+stream+".", api+"CONSUMER.DELETE."+stream+"."); missing != nil {
		return fmt.Errorf("bucket %q: %w: %w", b.name, ErrNoAnswer, missing)
	}
	return fmt.Errorf("bucket %q: %w: does its stream have a leader, and may this user use it? %w", b.name, ErrNoAnswer, err)
}
