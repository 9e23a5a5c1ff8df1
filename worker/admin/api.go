package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/admin/dashboard"
)

// API answers requests of operators. It is safe for concurrent use.
type API struct {
	conns        *worker.Connections
	o            Options
	token        [sha256.Size]byte
	mux          *http.ServeMux
	huma         huma.API
	slots        chan struct{} // one for each request that is worked on
	streams      chan struct{} // one for each export
	live         chan struct{} // one for each stream of overviews
	page         http.Handler
	overviews    *overviews
	outboxCounts countedRows
	operations   *operations
	answers      *answerMemory
	outboxes     outboxCache
	draining     atomic.Bool
	readiness    atomic.Pointer[readiness] // as it was looked at last
}

// What is worked on at once, and how long it may take.
const (
	maxRequests    = 32
	maxStreams     = 4
	awaitSlot      = 5 * time.Second
	requestTimeout = 30 * time.Second
)

// Version is that of the API, the first part of its paths.
const Version = "v1"

// New returns an API over connections that are the caller's to close, after the API. It asks
// nothing of them yet.
func New(conns *worker.Connections, o *Options) (*API, error) {
	if conns == nil {
		return nil, errors.New("the connections are nil: make them with worker.Connect or worker.Over")
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &API{
		conns: conns, o: opts, token: sha256.Sum256([]byte(opts.Token)), mux: http.NewServeMux(),
		slots: make(chan struct{}, maxRequests), streams: make(chan struct{}, maxStreams), live: make(chan struct{}, maxLive), operations: newOperations(), answers: newAnswerMemory(),
	}
	a.overviews = newOverviews(a.makeOverview)
	a.page = dashboard.New(&dashboard.Options{ReadOnly: opts.ReadOnly, Token: opts.Token != "", Version: commandline.Version()})
	a.huma = humago.New(a.mux, newConfig())
	a.registerOverview()
	a.registerGroups()
	a.registerLimits()
	a.registerPauses()
	a.registerDeferred()
	a.registerLetters()
	a.registerLetterChanges()
	a.registerOperations()
	a.registerOutbox()
	a.registerOutboxChanges()
	a.registerEvents()
	a.registerStory()
	finishSchemas(a.huma.OpenAPI())
	return a, nil
}

// Handler answers requests to paths below a prefix, such as "/admin". Empty: it answers all.
func (a *API) Handler(prefix string) http.Handler { return a.handlerFor(prefix, nil) }

// handlerFor is Handler for clients that may also name other hosts.
func (a *API) handlerFor(prefix string, hosts []string) http.Handler {
	prefix = strings.TrimSuffix("/"+strings.Trim(prefix, "/"), "/")
	g := &guard{api: a, hosts: allowedHosts(a.o.Hosts, hosts), prefix: prefix, spec: describe(a.huma.OpenAPI(), prefix)}
	return http.StripPrefix(prefix, g)
}

// register adds an operation that reads.
func register[I, O any](a *API, op huma.Operation, do func(context.Context, *I) (*O, error)) {
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, problemOf(ctx, err)
		}
		return out, nil
	})
}

// reading describes an operation that reads.
func reading(id, path, tag, summary, description string, problems ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{tag}, Summary: summary, Description: description,
		Errors: append(problems, http.StatusUnauthorized, http.StatusServiceUnavailable, http.StatusGatewayTimeout),
	}
}
